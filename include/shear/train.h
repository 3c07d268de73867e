// Training: one step, what it will need, evaluation, and the trainer that ties them together.
#pragma once
#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "shear/api.h"
#include "shear/device.h"
#include "shear/kernel_watcher.h"
#include "shear/model.h"
#include "shear/optim.h"
#include "shear/policies.h"
#include "shear/precision.h"
#include "shear/weights.h"

namespace SHEAR_API shear {

// -- What is trained -----------------------------------------------------------------------------------------------

// "all"; or patterns (see pattern.h) with commas between them, "blocks.{8..11}.*,head": every parameter is frozen but
// those that one of them fits, with their own name or with that of what they are of ("blocks.11.mlp"); "head" is the
// model's head, whatever its name.  Throws Fault::usage for a pattern that no parameter fits.
void choose_trainable(Parameters&, std::string_view which);

// -- One training step ----------------------------------------------------------------------------------------------

// "in-backward": true; "after": false.  Throws Fault::usage for anything else.
bool parse_update(std::string_view);

// images (B, C, H, W) -> logits (B, classes)
using Forward = std::function<Tensor(Tape&, const Tensor& images, const ForwardContext&)>;

struct StepOptions {
  Shape input{};           // of one image: (C, H, W)
  int64_t accumulate = 1;  // passes per step: the batch is cut into as many equal parts, and their gradients are summed
  float smoothing = 0;     // of the labels
  float clip = 0;          // the largest norm of the gradient; 0: any
  bool update_in_backward = false;  // each parameter as soon as its gradient is complete: see UpdateInBackward
  std::optional<ClipBy> clip_by{};  // none: norm after backward, previous in backward
  uint64_t seed = 0;                // of dropout
  int64_t images = 0;               // of the data set, for a policy that remembers them; 0: they have no numbers
};

struct StepResult {
  double loss = 0;           // mean over the batch, before the update
  int64_t correct = 0;       // images whose class had the highest logit
  double gradient_norm = 0;  // before clipping (see UpdateInBackward::norm); 0 where a sink has the gradients
};

// What a step throws whose loss, or gradient, is not finite.
class NotFinite final : public Error {
 public:
  explicit NotFinite(const std::string& sentence) : Error(Fault::input, sentence) {}
};

// Forward, loss, backward, clipping and the optimizer's update.  Once warm it allocates nothing.
class TrainStep {
 public:
  // Tells the policy what will be trained: parameters are frozen before, policy state is loaded after.  Throws
  // Fault::usage for updates in backward of several passes that the optimizer does not add, or that are to be clipped.
  TrainStep(Device&, Parameters&, Forward, MemoryPolicy&, Optimizer&, const StepOptions&);
  // A step whose gradients go to a sink, which does with each what it does once it is complete: there is no norm of
  // them all, and nothing can be clipped.
  TrainStep(Device&, Parameters&, Forward, MemoryPolicy&, GradientSink&, const StepOptions&);

  // `step` counts from 0.  Throws Fault::input where a label is not in [0, classes), and NotFinite where the loss or a
  // gradient is not finite, naming the step and the first parameter, in the model's order, whose gradient is not; the
  // parameters are then as before the step, unless `half_done` says that some are updated: then the step cannot be made
  // good. Throws Fault::internal where a trainable parameter got no gradient at the first call.
  StepResult operator()(int64_t step, float lr, const Batch&);

  // Whether a step broke off between its first update and its last.
  bool half_done() const { return half_done_; }
  // Under ClipBy::previous: the norm of the gradient of the last step, none before the first.  A first step is clipped
  // by its own norm: its gradients are computed twice, the first time without an update.
  std::optional<double> last_norm() const { return last_norm_; }
  void set_last_norm(std::optional<double> norm) { last_norm_ = norm; }

  const Tape& tape() const { return tape_; }
  // Called after each pass, before the tape forgets it.
  std::function<void(const Tape&)> after_pass;

 private:
  TrainStep(Device&, Parameters&, Forward, MemoryPolicy&, Optimizer*, std::unique_ptr<UpdateInBackward>, GradientSink&,
            const StepOptions&);
  void passes(int64_t step, float lr, float scale, const Batch&, const Tensor& outcome, StepResult&);
  void pass(int64_t step, int64_t index, int64_t images, const Batch&, const Tensor& outcome);
  float scale_before(int64_t step, const Batch&, const Tensor& outcome);
  void read(const Tensor& outcome, StepResult&);
  bool numbered(const Batch&) const;
  void see(const Batch&, size_t first, size_t count);
  void tell_distances(const Tensor& logits, std::span<const int32_t> labels);
  void check_first() const;
  [[noreturn]] void not_finite(int64_t step, double loss) const;

  Device& device_;
  Parameters& parameters_;
  Forward forward_;
  MemoryPolicy& policy_;
  Optimizer* optimizer_;                           // null: a sink has the gradients
  std::unique_ptr<UpdateInBackward> in_backward_;  // null: after backward
  StepOptions options_;
  Tape tape_;
  std::vector<float> outcome_, logits_, distances_;
  std::optional<double> last_norm_;
  bool first_ = true, half_done_ = false;
};

// |softmax - target| of a row of logits, what its image has in the gradient of the loss.
float distance_from_target(std::span<const float> logits, int64_t label, float smoothing);

// Where `label` stands among a row of logits: 0 where it is the highest, ties to the lowest index.
int64_t rank_of(std::span<const float> logits, int64_t label);

// -- Planning: the real tape on a backend that computes nothing -----------------------------------------------------

struct PlanOptions {
  ModelSpecPtr model;
  std::string policy = "full";
  int64_t batch = 128, accumulate = 1;
  OptimizerOptions optimizer{};
  std::string train = "all";
  WeightsAs weights_as = WeightsAs::f32;
  Lora lora{};
  bool update_in_backward = false;
  Precision precision = Precision::f32;
  DeviceKind device = DeviceKind::cpu;  // need not be there
  int threads = 0;
};

struct PlannedSave {  // SaveRow, with strings of its own
  std::string site, op, asked, got, why;
  size_t dense_bytes, saved_bytes;
};

struct Plan {
  // Of a training step: exactly what Device::peak tells after a real one, or, under a policy that is not steady, the
  // most of many draws and a margin.
  MemoryUse use;
  size_t step_bytes = 0;  // the slab for training steps and evaluations: Device::Options::step_bytes
  std::vector<PlannedSave> saves;
};
Plan plan_training(const PlanOptions&);

// How long calls of kernels take on a machine, at some precision and on some threads, as it was measured.  For one
// thread at a time.
class KernelTimes {
 public:
  void add(const KernelCall&, double seconds);  // in place of one of the same size
  void add(const KernelTimes& newer);
  bool knows(const KernelCall&) const;  // one of the same size
  // By the call of its kind that is nearest in size, in proportion to the work; none where there is none near.
  std::optional<double> of(const KernelCall&) const;
  size_t kinds() const { return known_.size(); }

  std::string to_json() const;
  static KernelTimes from_json(std::string_view);  // throws Fault::input where it is not what to_json writes

 private:
  struct Known {
    std::array<int64_t, 3> size;
    double seconds;
  };
  std::map<std::string, std::vector<Known>> known_;
};

// Seconds of a training step, without the loading of its images: the sum of what its calls take.  What is not known is
// measured, after a call of `measures`, in the step of a model cut to two blocks with a few images, and added to
// `times`. Nothing for another device than the CPU, and where the step has a kernel that the one which was measured has
// not. Throws Fault::memory where there is no room, or no time, to measure.
std::optional<double> step_seconds(const PlanOptions&, KernelTimes& times, const std::function<void()>& measures = {});

// The largest batch, in one pass, whose step fits in `budget` bytes; 0 where not even one image does.
int64_t largest_batch(PlanOptions, size_t budget);

// What lowers the floor of parameters, gradients and optimizer state, in the order in which a budget asks for it:
//   updates in backward, in steps of one pass: the same bits, but for clipping
//   state in 8 bits
//   weights in 24 bits
// Turns on the first of them, as few as make the step fit in `budget` bytes, and returns their flags, empty where it
// fits as it is.  Where even all of them do not, returns nothing and leaves the options alone.
std::optional<std::string> lower_floor(PlanOptions&, size_t budget);

// What codes of one block's values add to the gradients of all block weights, each kind alone: squares of relative
// errors.
struct BlockErrors {
  double linears = 0;    // of linears' inputs, and norms', in 3 bits and groups of 64
  double attention = 0;  // of queries, keys and values in 4 bits and groups of 64
  double slopes = 0;     // of activations' slopes in 4 bits
};
struct MeasuredBlocks {
  std::string model;   // its spelling
  int64_t images = 0;  // that were looked at
  std::vector<BlockErrors> blocks;
};

// Policy "auto", chosen for a budget: full, else lean, else codes with bits for every block
// ("codes:...@blocks.0.*|codes"), those of the least error whose step fits; where even the shortest codes do not, as
// few of lower_floor beside them as do.  checkpoint is not among them: it is exact and small, and a third slower.
struct PolicyChoice {
  std::string policy;
  double error = 0;     // relative, of the gradients of block weights, as it is expected
  std::string lowered;  // flags, see lower_floor; mostly empty
  Plan plan;
};
// `measured`: what codes of each block of this model add, see measure_blocks; null: what they did on a DINOv2.  Throws
// Fault::input where it is of a model of other blocks.  Sets the options to what it chose.  Where nothing fits,
// returns nothing and sets the policy to the shortest codes.
std::optional<PolicyChoice> choose_policy(PlanOptions&, size_t budget, const MeasuredBlocks* measured = nullptr);
bool is_auto(std::string_view policy);

// A sentence on what would make the step fit: another policy, more passes, a lower floor.  Empty where nothing known
// would.
std::string what_would_fit(PlanOptions, size_t budget);

// -- Evaluation -----------------------------------------------------------------------------------------------------

struct Evaluation {
  int64_t samples = 0, classes = 0;
  double accuracy = 0, top5 = 0, loss = 0;                   // shares; mean cross entropy without smoothing
  std::map<std::pair<int64_t, int64_t>, int64_t> confusion;  // (true class, chosen class): how often, where it was so
};

// `labels`: the model's class for each class of the data; empty: the same.  `go_on(done, total)` is asked between
// batches; where it says no the evaluation is abandoned and nothing comes back.
std::optional<Evaluation> evaluate(Device&, const Forward&, const Dataset&, const Loader::Options&, int64_t classes,
                                   std::span<const int> labels = {},
                                   const std::function<bool(int64_t done, int64_t total)>& go_on = {});

// The model's class for each class of the data, by name.  Throws Fault::input for a class that the model does not know.
std::vector<int> match_classes(const std::vector<std::string>& data, const std::vector<std::string>& model);
// The same for a model that names none of its `classes`: by number where all names of the data are numbers, else by
// position where it has as many.  Throws Fault::input where it has another number of them.
struct ClassMatch {
  std::vector<int> labels;
  enum By : uint8_t { by_number, by_position } by;
};
ClassMatch match_unnamed_classes(const std::vector<std::string>& data, int64_t classes);

// -- Training -------------------------------------------------------------------------------------------------------

// What the outcome of a training depends on, kept in its checkpoints.  Empty optionals: see resolve_defaults.
struct Recipe {
  std::string data, val, model, weights, policy = "full";
  DataOptions read;                      // how the data is read; allow_absent is no part of a recipe
  std::optional<int64_t> epochs, steps;  // one of them
  int64_t batch = 128, accumulate = 1;   // images per step; passes per step
  std::string optimizer = "adamw";
  std::optional<double> lr, weight_decay;
  std::string state = "f32";       // of the optimizer; or "8bit"
  std::string weights_as = "f32";  // while they sleep; or "bf16", "bf16+8"
  std::string lora;                // see parse_lora; empty: none
  double momentum = 0.9, clip = 1, smoothing = 0, dropout = 0;
  std::optional<int64_t> warmup;
  uint64_t seed = 0;
  int64_t eval_every = 0, checkpoint_every = 0;  // steps; 0: every epoch
  std::string augment = "none";                  // none, flip, pad, crop
  ImageOptions image;
  std::string positions;                  // how position embeddings are resized; empty: as the weights' library does
  bool strict = false;                    // weights: nothing may be missing or unused, as without it
  bool allow_mismatch = false;            // weights: what is missing or unused is told of, and no error
  std::string train = "all";              // see choose_trainable
  std::string update = "after", clip_by;  // or "in-backward"; empty: as StepOptions::clip_by
  std::string precision = "f32";          // or "bf16"
};

// What a number may be, its ends included.  A number that is not whole must also be 0 or at least 1e-30: what is less
// would be lost in f32.
struct NumberRange {
  double low = 0, high = 0;
  std::string str() const;  // "1 to 65536"
  // Throws Fault::usage unless `value` is in it: "--batch 0: expected a whole number from 1 to 65536".
  void check(const std::string& flag, int64_t value) const;
  void check(const std::string& flag, uint64_t value) const;
  void check(const std::string& flag, double value) const;
};
inline constexpr NumberRange any_seed{0, 0x1p64};

// Of a number of the recipe, by its flag's name without the dashes.  The executable's flags and resolve_defaults go by
// the same list.
NumberRange recipe_range(std::string_view flag);

// Learning rate and weight decay by the optimizer's name; ten epochs where nothing is said.  Throws Fault::usage for
// values that make no sense, naming the flag.
void resolve_defaults(Recipe&);
std::string to_json(const Recipe&);
Recipe recipe_from_json(std::string_view);
// A path takes any bytes, JSON takes UTF-8: what is none is written there as "bytes:" and hexadecimal digits.
std::string text_to_json(const std::string&);
std::string text_from_json(const std::string&);

// What changes where and how a training runs, not what it yields: on the CPU to the bit, on any number of threads, but
// for builds with a BLAS.  A resumed run keeps its threads unless told otherwise.
struct RunOptions {
  std::filesystem::path out;
  bool resume = false;         // continue from out/last.safetensors
  std::filesystem::path from;  // ... or from this checkpoint of the run
  bool overwrite = false;      // begin anew in a directory that holds a run
  int threads = 0, loader_threads = 1;
  size_t memory_limit = 0;
  size_t budget = 0;  // bytes of a step: what it takes of lower_floor becomes part of the recipe; 0: nothing does
  std::optional<MeasuredBlocks> measured_blocks{};  // for policy auto, see choose_policy
  DeviceKind device = DeviceKind::cpu;
  int64_t stop_after = 0;                   // as if interrupted after this many steps; 0: go on to the end
  const std::atomic<bool>* stop = nullptr;  // set from outside: interrupt after the current step
};

// What a training has before it when it begins, or goes on.
struct Outlook {
  int64_t step = 0, steps = 0;  // done, of
  int64_t eval_every = 1, batch = 1;
  int64_t validation_images = 0;
};
struct StepMetrics {
  int64_t step, steps;  // done, of
  double epoch, loss, accuracy, lr, gradient_norm, images_per_second, seconds;
  size_t bytes;  // the highest so far
};
struct EvalMetrics {
  int64_t step;
  double epoch, loss, accuracy, top5;
  int64_t samples;
  double seconds;
  bool best;
};

// Told what happens while it happens.
class TrainObserver {
 public:
  virtual ~TrainObserver() = default;
  virtual void note(const std::string&) {}
  virtual void warn(const std::string&) {}
  virtual void begins(const Outlook&) {}
  virtual void step(const StepMetrics&) {}
  virtual void evaluating(int64_t /*done*/, int64_t /*total*/) {}
  virtual void evaluated(const EvalMetrics&) {}
  virtual void measuring(int64_t /*done*/, int64_t /*total*/) {}  // steps of gradient_fidelity
};

struct Summary {
  std::string policy, model;
  int64_t steps = 0;
  double accuracy = 0, loss = 0;  // on the validation part, or over the last epoch's batches where there is none
  bool validated = false;
  double best_accuracy = 0;  // where validated
  int64_t best_step = 0;
  double seconds = 0, step_seconds_median = 0;
  MemoryUse memory;
  size_t planned_peak_bytes = 0, rss_peak_bytes = 0;
  size_t in_flight_bytes = 0;      // of batches that are read ahead, beside the step
  size_t decoding_peak_bytes = 0;  // of images while they are decoded
};
std::string to_json(const Summary&);

enum class TrainEnd { finished, finished_before, interrupted };
struct TrainOutcome {
  TrainEnd end = TrainEnd::finished;
  int64_t step = 0;
  std::string summary;  // the JSON of summary.json; empty where interrupted
};

// Runs the recipe in the directory `run.out`:
//   last.safetensors   every `checkpoint_every` steps, before each evaluation, when interrupted and before an error
//   ends
//                      the run: all state, with checksums, and read back before it takes its name
//   previous.safetensors  the one before, as long as the run is not finished
//   best.safetensors   the weights with the best accuracy on the validation part
//   model.safetensors  the weights at the end
//   metrics.jsonl      a line per step and per evaluation
//   summary.json       at the end
// Each is replaced as a whole (metrics.jsonl grows by lines), so that whatever stops the process, `resume` goes on from
// the last checkpoint, and ends with the bits that it would have ended with.  What may differ from the recipe that it
// began with: data and val (moved, or not the same images any more: said), epochs and steps.
TrainOutcome train(const Recipe&, const RunOptions&, TrainObserver&);

// The recipe of the run in a directory, from its last checkpoint or from the one named.
Recipe read_recipe(const std::filesystem::path& run_directory, const std::filesystem::path& from = {});

// -- What a policy does to the gradient -----------------------------------------------------------------------------

struct CosineOptions {
  int64_t batches = 4;
  int threads = 0, loader_threads = 1;
  DeviceKind device = DeviceKind::cpu;
  const std::atomic<bool>* stop = nullptr;  // set from outside: give up
};
struct GradientCosine {
  double overall = 0;                                      // all that is trained as one vector
  std::vector<std::pair<std::string, double>> parameters;  // by name, in the model's order
};
// The cosine between the gradient under the policy of a finished run and under `full`, at the run's last weights, with
// its policy's last state: the mean over the first batches of its first epoch, neither augmented nor dropped out.
// Nothing where stopped.
std::optional<GradientCosine> gradient_cosine(const std::filesystem::path& run_directory, const CosineOptions&);

// What a policy does to the gradient of weights as they are, against `full` on the same batches.
struct GradientFidelity {
  std::string policy;
  MemoryUse planned;  // of a step with the recipe's optimizer
  // |found - exact| / |exact| and cosine, all batches as one vector: of all that is trained, and of the weights of
  // linears in blocks alone.
  double error = 0, cosine = 1, block_error = 0, block_cosine = 1;
  // The same of those weights where each input channel's gradient (a column of the weight's) is taken by its own size,
  // as AdamW takes it: the root of the mean over channels of |found - exact|^2 / |exact|^2.  What an optimizer without
  // such scales hardly sees, that small channels are lost behind the large, is what this tells.
  double channel_error = 0;
  double step_seconds = 0;  // median of forward and backward, and of handing the gradients over: without an update
};
struct GradientFidelities {
  std::string model;
  int64_t batch = 0;
  std::vector<GradientFidelity> policies;  // `full` first, asked for or not
};
// At the weights that a run of the recipe begins with, over the first batches of its first epoch, neither augmented nor
// dropped out, as planned too; what a policy learns from one batch it goes by in the next; one that remembers images
// has seen each once before.  Nothing where stopped.
// Throws Fault::usage where no weight of a linear in blocks is trained, Fault::input where no gradient reaches one, and
// as `train` does.
std::optional<GradientFidelities> gradient_fidelity(const Recipe&, const RunOptions&, int64_t batches,
                                                    std::span<const std::string> policies, TrainObserver&);

// What codes of each block add to the gradients, measured as gradient_fidelity does: three steps of each block and each
// batch.
std::optional<MeasuredBlocks> measure_blocks(const Recipe&, const RunOptions&, int64_t batches, TrainObserver&);
std::string to_json(const MeasuredBlocks&);
MeasuredBlocks measured_blocks_from_json(std::string_view);  // throws Fault::input where it is not what to_json writes

size_t rss_peak_bytes();  // of this process, as the kernel counts it

}  // namespace shear
