// Optimizers, clipping and the learning-rate schedule.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "shear/api.h"
#include "shear/gradient_sink.h"
#include "shear/parameters.h"

namespace SHEAR_API shear {

// Parameters that share settings.  The learning rate of a step is the schedule's times lr_scale.
struct ParamGroup {
  std::vector<Param*> params;
  float weight_decay = 0;
  float lr_scale = 1;
};

// Two groups: weights that decay, and biases, norms and embeddings that do not.  Frozen parameters are in neither.
std::vector<ParamGroup> decay_groups(Parameters&, float weight_decay);

// A named piece of optimizer state, for checkpoints: "momentum.blocks.0.attn.qkv.weight".
struct StateTensor {
  std::string name;
  Tensor value;
};

// How an optimizer's state is written.  Codes: 8 bits an element and a scale for each 256 (see kernels/optimizers.inc);
// parameters of fewer than 4,096 elements keep f32.
enum class StateAs : uint8_t { f32, codes };
StateAs parse_state(std::string_view);  // "f32" or "8bit"; throws Fault::usage for anything else

// What an update goes by.
struct Update {
  int64_t step = 0;  // counts from 0
  float lr = 0;
  float gradient_scale = 1;      // gradients are first multiplied by it (clipping)
  int64_t pass = 0, passes = 1;  // of the step: whose share of the gradient comes, for an optimizer that adds passes
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  virtual std::string_view name() const = 0;
  // One update of every parameter that has a gradient of its own (Param::grad), then forgets the gradients.
  virtual void step(const Update&) = 0;
  void step(int64_t step, float lr, float gradient_scale) { this->step(Update{step, lr, gradient_scale}); }
  // One update of one parameter by a gradient of its shape, which is not kept.
  virtual void update(const Update&, Param&, const Tensor& gradient) = 0;
  // Whether the shares of a step's passes, each in an update of its own, come to the update by their sum, but for
  // rounding: the weights then move with the last pass.
  virtual bool adds_passes() const { return false; }
  virtual std::vector<StateTensor> state() = 0;
};

struct SgdOptions {
  float momentum = 0.9f;
  bool nesterov = false;
  StateAs state = StateAs::f32;
  uint64_t seed = 0;  // of how weights that sleep in few bits are rounded
};
// v = momentum * v + (g + weight_decay * w);  w -= lr * v.  As PyTorch's, dampening 0.
std::unique_ptr<Optimizer> make_sgd(Device&, std::vector<ParamGroup>, SgdOptions = {});

struct AdamWOptions {
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  StateAs state = StateAs::f32;
  uint64_t seed = 0;  // of how the second moment's codes are rounded, and weights that sleep in few bits
};
// Decoupled weight decay (Loshchilov & Hutter 2019): w -= lr * (m^ / (sqrt(v^) + epsilon) + weight_decay * w).
std::unique_ptr<Optimizer> make_adamw(Device&, std::vector<ParamGroup>, AdamWOptions = {});

struct OptimizerOptions {
  std::string name = "adamw";  // or "sgd"
  float momentum = 0.9f;       // of sgd
  float weight_decay = 0;
  StateAs state = StateAs::f32;
  uint64_t seed = 0;  // see AdamWOptions
};
// Throws Fault::usage for another name.
std::unique_ptr<Optimizer> make_optimizer(Device&, Parameters&, const OptimizerOptions&);

// ||g|| over all parameters that have a gradient, in f64.  Not finite where any gradient is not.  Waits for the device
// once.
double gradient_norm(Parameters&);
double gradient_norm(Device&, const Tensor& gradient);
// What gradients are multiplied by so that their norm is at most max_norm (0: 1).
float clip_scale(double norm, double max_norm);

// Whose norm is held to the largest that is allowed.
enum class ClipBy : uint8_t {
  norm,      // that of all gradients together: only known after backward
  previous,  // the same, of the step before
  tensor,    // that of each parameter's gradient, each for itself (AdaLomo: Lv et al. 2023, section 3.3)
};
ClipBy parse_clip_by(std::string_view);  // "norm", ...; throws Fault::usage for anything else

// A sink that updates: each parameter as soon as its gradient is complete, so that no gradient outlives the op that
// completes it (LOMO: Lv et al. 2023; Pudipeddi et al. 2020).  Where nothing is clipped the weights have the bits that
// the same optimizer gives them after backward, in steps of one pass.
//
// A gradient that is not finite ends backward with Fault::input, which names the parameter: it and what would have come
// after it are as before, what came before it in backward is updated already.
class UpdateInBackward final : public GradientsInStep {
 public:
  // max_norm 0: no clipping.  ClipBy::norm cannot be had.
  UpdateInBackward(Optimizer&, float max_norm, ClipBy);
  void begin_step(std::span<Param* const>, int64_t passes) override;
  // Before each backward.
  void begin_pass(const Update&);
  // While measuring nothing is updated: only the norm is taken.
  void measure(bool on) { measuring_ = on; }
  bool measures() const { return measuring_; }
  // Of the gradient of the step so far; of several passes the sum of each one's norm, which their sum does not exceed.
  double norm() const;

 private:
  void use(Device&, Param&, const Tensor& gradient) override;

  Optimizer& optimizer_;
  double max_norm_;
  ClipBy by_;
  Update update_;
  double squares_ = 0, before_ = 0;  // of this pass; the norms of those before
  bool measuring_ = false;
};

// Linear warm-up from 0 over `warmup` steps, then half a cosine from `peak` to `floor` at `steps`.
struct CosineSchedule {
  float peak = 1e-3f, floor = 0;
  int64_t warmup = 0, steps = 1;
  float at(int64_t step) const;  // of step counted from 0; never 0 at step 0
};

}  // namespace shear
