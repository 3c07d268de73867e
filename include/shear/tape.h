// The tape: ops hand it what their gradients need, a policy decides how that sleeps, backward wakes it.
//
//   Tape tape(device, policy, model.parameters());
//   tape.begin_step(step);
//   Tensor y = linear(tape, "fc", x, w, b);     // saves x through the policy, records its gradient
//   tape.backward(loss);                        // newest first; gradients go to the sink
//   tape.reset();                               // ready for the next pass, nothing is given back to the system
//
// One tape serves every step.  After the first one it allocates nothing.  It belongs to its device's thread, and its
// policy is its own: the tape makes every call of the policy's life.
#pragma once
#include <algorithm>
#include <array>
#include <cstring>
#include <initializer_list>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "shear/api.h"
#include "shear/device.h"
#include "shear/error.h"
#include "shear/gradient_sink.h"
#include "shear/policy.h"
#include "shear/random.h"
#include "shear/saved.h"
#include "shear/site.h"
#include "shear/view.h"

namespace SHEAR_API shear {

class Backward;
class Parameters;

// A parameter whose weights may sleep in fewer bits (WeightsAs), given to an op that wakes them.
struct MaySleep {
  Param& param;
};

// Something that an op is given: a tensor, or a parameter, whose values it is; or null, which is nothing.
struct Given {
  Given(const Tensor& t, DType d = DType::f32) : tensor(&t), dtype(d) {}
  Given(const Tensor* t) : tensor(t) {}
  Given(Param& p) : Given(&p) {}
  Given(Param* p) : tensor(p ? &p->value : nullptr), parameter(true), param(p) {}
  Given(MaySleep);

  const Tensor* tensor;
  DType dtype = DType::f32;
  bool parameter = false, may_sleep = false;
  Param* param = nullptr;
};
inline Given::Given(MaySleep p) : Given(p.param) { may_sleep = true; }

// A ticket for a saved value: opened during backward, closed once per save.
struct Saved {
  int id = -1;
  bool valid() const { return id >= 0; }
};

// How what a recipe makes depends on those of its sources that a policy may let sleep lossy: where it is linear in
// them, it is right in the mean as they are.
enum class InSources : bool { nonlinear, linear };

// One line of the report: what was asked for a value, and what became of it.
struct SaveRow {
  std::string_view site, op;
  std::string_view asked;  // the policy's verdict; "-" where it was not asked
  std::string_view got;    // the form, "shared" with an earlier row, or "held" (small exact statistics)
  std::string_view why;    // where got is not what was asked
  size_t dense_bytes, saved_bytes;
};

// What goes with a value that is saved.
struct SaveOptions {
  const Param* weight = nullptr;  // whose gradient wants it
  int64_t parts = 1;              // tensors side by side in its rows, each pruned by itself
  int free_part = -1;             // one of them, on whose mean over the rows of a sample no gradient depends
  Slope slope = Slope::none;      // the function that it goes through, for an op that accepts Form::slopes
  std::string_view op{};          // as the report calls it; empty: as the op that saves it
};

struct TapeOptions {
  uint64_t seed = 0;             // of the streams that codes are rounded with
  GradientSink* sink = nullptr;  // must outlive the tape; null: accumulate_gradients()
};

class Tape {
 public:
  static constexpr size_t most_params = 4;  // of one op

  // For a model: what is trained is told to the policy and the sink.  Parameters are frozen before.
  Tape(Device&, MemoryPolicy&, Parameters&, const TapeOptions& = {});
  // For values and parameters that belong to no model.  Without `params` a step begins by itself.
  Tape(Device&, MemoryPolicy&, std::vector<Param*> params = {}, const TapeOptions& = {});
  explicit Tape(Device&);  // inference: nothing is saved or recorded

  Device& device() { return device_; }
  Backend& run() { return device_.run(); }
  bool training() const { return policy_ != nullptr; }
  bool recording() const { return training() && !paused_; }  // not in the first pass of a segment that is made again

  // -- What ops call, forward: through OpScope, see op.h ------------------------------------------------------------
  // Every op, first of all: admits what it was given, and counts the uses of parameters.  Whether the tape will come
  // back through it.
  bool enter(std::string_view op, std::string_view site, std::initializer_list<Given>);
  // Throws Fault::internal with op and site where something that it was given is empty, is of
  // another type, lies on another device, or comes from another tape, from before a reset, or from before backward.
  void admit(std::string_view op, std::string_view site, std::initializer_list<Given>) const;
  Tensor empty(const Shape&, DType = DType::f32);  // an activation: contents undefined, in the step's slab
  // A parameter's weights in f32: as they lie, or awake in the step's slab until the tensor goes.
  Tensor awake(const Param&);
  Tensor factor(const Param&);  // for a product, which takes bf16 where it would round to that
  // Puts the value to sleep in the form that the policy chooses.  A value saved by several ops sleeps once.
  Saved save(std::string_view site, std::string_view op, const Tensor& value, Role, Forms accepts,
             const SaveOptions& = {});
  Saved hold(std::string_view site, std::string_view op, const Tensor& exact);  // no policy asked
  // How `out` can be made again: a trivially copyable `make(Backward&, first_row, View band)` that opens only
  // `sources`.  Used where a later save of `out` is answered with Recompute.
  template <class Make>
  void recipe(const Tensor& out, std::initializer_list<Saved> sources, Make make, InSources how = InSources::nonlinear);
  // Remembers the gradient of `out`, a trivially copyable `grad(Backward&)` with a member `Slot y`.  `params`: those
  // whose gradients it has a share of.
  template <class Grad>
  void record(Tensor& out, Grad grad, std::span<Param* const> params = {});
  // Whether the policy wants an op at this site computed in another than its usual way.
  bool wants(Way way, std::string_view site) const { return policy_ && policy_->wants(way, {site, block_}); }
  // body(tape, x), a trivially copyable function of an activation: a block of the model, numbered in forward order.
  // Where the policy wants it, of all that happens in it only x is kept: backward runs it once more, with the same
  // bits, and goes on through what that saved.  Or it works on a band of images at a time, forward and backward, so
  // that only x and the result are there for all of them: body must not mix images, the first dimension of both.
  template <class Body>
  Tensor segment(std::string_view site, Tensor x, Body body);
  // A stream for values of this band alone, of one for those of all images.
  StreamKey in_band(StreamKey all) const;

  // Until it goes out of scope, ops are in this block of the model.  Segments do so by themselves.
  class InBlock {
   public:
    InBlock(Tape& tape, int block) : tape_(tape), before_(std::exchange(tape.block_, block)) {}
    ~InBlock() { tape_.block_ = before_; }
    InBlock(const InBlock&) = delete;
    InBlock& operator=(const InBlock&) = delete;

   private:
    Tape& tape_;
    int before_;
  };

  // Asks for the gradient of an input, in every step anew; read it with `grad` after backward.  Of an input: a computed
  // value would be cut off from what it was computed from.
  void watch(Tensor&);

  // -- What a training step calls -----------------------------------------------------------------------------------
  // Before the first op of each optimizer step: the policy draws, the sink forgets, and the optimizer is told which
  // columns are left alone.  A step has `passes` of forward and backward, each with a reset behind it.
  void begin_step(int64_t step, int64_t passes = 1);
  // loss: one element, computed on this tape since its last reset.  Backward goes through a value once.
  void backward(const Tensor& loss, float seed = 1);
  const Tensor& grad(const Tensor& watched) const;
  void reset();  // forgets values, gradients and records; keeps their room

  // Room on the host for a choice among n, kept from step to step.
  std::vector<float>& host_floats(int64_t n);
  std::vector<int32_t>& host_indices(int64_t n);
  // The form in which a value sleeps.
  Form form(Saved s) const { return form_of(entries_[static_cast<size_t>(s.id)].kept); }

  std::span<const SaveRow> report() const { return report_; }   // of this step, in forward order
  std::span<Param* const> touched() const { return touched_; }  // params that got a gradient, in backward order

 private:
  friend class Backward;
  static constexpr size_t closure_bytes = 160;
  struct Entry {
    Entry(Kept k, uint64_t of, int n) : kept(std::move(k)), serial(of), uses(n) {}
    Kept kept;
    uint64_t serial;
    int uses;
  };
  struct Node {
    void (*run)(const void*, Backward&);
    alignas(8) std::array<char, closure_bytes> grad;
    Slot out;
    std::string_view site;  // where it was recorded
    std::array<Param*, most_params> params;
    bool goes_on = false;  // to other nodes of the same output, which need its gradient too
  };
  // A segment that works on bands of images: what it was given, and what it makes.
  struct Banded {
    Slot x, y;
    Shape x_shape;
    bool begun = false;  // backward has come to it
    float beta = 0;      // with which x's gradient takes a band's
  };
  // What is left to do with a parameter in this pass.
  struct Use {
    Param* param;
    int ops = 0;  // that use it and that backward has not come by yet
    bool opened = false, done = false;
  };
  struct Recipe {
    void (*run)(const void*, Backward&, int64_t, View);
    alignas(8) std::array<char, closure_bytes> make;
    std::array<Saved, 4> sources;
    uint64_t serial;
    InSources how;
  };

  class Observation;

  int64_t images_at_once(std::string_view site, const Tensor& x) const;
  template <class Body>
  Tensor made_again(std::string_view site, Tensor x, const Body& body, bool in_bands);
  Tensor take_band(std::string_view site, const Tensor& x, int64_t first, int64_t images);
  void put_band(std::string_view site, const Tensor& part, int64_t first, int64_t images, Tensor& x, Tensor& y);
  void merge_rows(size_t first);
  template <class Grad>
  Node& append(Slot out, const Grad& grad, std::string_view site);

  Saved share(const Tensor& value, Forms accepts, int free_part, SaveRow&);
  Kept put_to_sleep(const Tensor& value, SaveRequest&, int free_part, SaveRow&);
  const Recipe* recipe_of(const Tensor& value) const;
  SaveRequest::Recipe quality(const Recipe*) const;
  void release(Saved);
  void release_sources(const Kept&);
  Slot new_slot(const Shape&);
  void check_begun(std::string_view op, std::string_view site);
  Use& use_of(Param&);
  void finish(const Node&);
  void complete(Use&);
  void mark_active();
  bool current(Slot s) const { return s.pass == pass_; }
  bool passed(Slot s) const { return passed_[static_cast<size_t>(s.id)]; }

  Device& device_;
  MemoryPolicy* policy_ = nullptr;
  GradientSink* sink_ = nullptr;
  std::vector<Param*> params_;  // of the model
  uint64_t seed_ = 0;
  int64_t step_ = -1, passes_ = 1, passes_done_ = 0;  // -1: none has begun
  int block_ = -1, blocks_ = 0;                       // that ops are in; that there were in this pass
  uint32_t pass_;                                     // of the slots since the last reset
  bool paused_ = false, would_record_ = false;        // while the forward pass of a segment is not recorded
  bool in_backward_ = false, in_band_ = false;
  uint32_t band_ = 0;  // of the images of the segment, that ops are in
  std::vector<Banded> banded_;
  std::vector<Entry> entries_;
  std::vector<Node> nodes_;
  std::vector<Recipe> recipes_;
  std::vector<Tensor> grads_;  // by slot
  std::vector<Shape> shapes_;  // of the values whose gradients they are, however consumers reshape them
  std::vector<bool> passed_;   // backward has gone through the op that made the value
  std::vector<SaveRow> report_;
  std::vector<Param*> touched_;
  std::vector<Use> uses_;
  std::vector<float> host_floats_;
  std::vector<int32_t> host_indices_;
  StreamKey rounding_{0, static_cast<uint32_t>(Purpose::policy), 0, 0};
};

// What a gradient sees: the gradient that arrives, what was saved, and where to add its results.
class Backward {
 public:
  explicit Backward(Tape& tape) : tape_(tape) {}

  Backend& run() { return tape_.run(); }
  const Tensor& grad(Slot y) const { return tape_.grads_[static_cast<size_t>(y.id)]; }

  using Sink = GradientSink::Room;
  Sink sink(Slot x, const Shape&);
  Sink sink(Param&);  // where the tape's sink of gradients says
  // A sink for x that may lie over the gradient of y, for kernels that can work in place.
  Sink sink_over(Slot x, Slot y);
  void pass(Slot y, Slot x);  // x's gradient is y's as it is
  // Of a segment in bands: a part's gradient out of the whole's, and the whole's from a part's.
  void divide(int banded, int64_t first_row, Slot part);
  void gather(int banded, int64_t first_row, Slot part);

  const Kept& open(Saved) const;
  const Tensor& dense(Saved) const;  // of a value that only accepts dense, or is held
  void close(Saved);                 // as often as it was saved
  void remake(const Recomputed&, int64_t first_row, View band);
  // Rows of a value that sleeps in full width (dense, recomputed, packed): where it lies if dense, else waken into
  // `room`.
  ConstView rows(const Kept&, int64_t first_row, View room);
  Tensor scratch(const Shape&);                            // in the step's slab
  Tensor awake(const Param& p) { return tape_.awake(p); }  // see Tape
  Tensor factor(const Param& p) { return tape_.factor(p); }
  // A segment once more, recorded: what the tape walks through next is what body(tape, x) records, from the gradient of
  // y on.
  template <class Segment>
  void again(const Segment&);

 private:
  Tape& tape_;
};

template <class Grad>
void Tape::record(Tensor& out, Grad grad, std::span<Param* const> params) {
  static_assert(std::is_trivially_copyable_v<Grad>,
                "a gradient holds slots, tickets, params and numbers - never a Tensor, "
                "or the activation it captures escapes the memory policy");
  static_assert(sizeof(Grad) <= closure_bytes);
  out.slot = grad.y = new_slot(out.shape());
  Node& n = append(out.slot, grad, At::site());
  std::copy(params.begin(), params.end(), n.params.begin());
}

template <class Grad>
Tape::Node& Tape::append(Slot out, const Grad& grad, std::string_view site) {
  Node& n = nodes_.emplace_back();
  n.run = [](const void* g, Backward& bw) { (*static_cast<const Grad*>(g))(bw); };
  n.out = out;
  n.site = site;
  n.params = {};
  std::memcpy(n.grad.data(), &grad, sizeof grad);
  return n;
}

template <class Body>
Tensor Tape::segment(std::string_view site, Tensor x, Body body) {
  const int block = blocks_++;
  const InBlock here(*this, block);
  const bool again = recording() && policy_->wants(Way::segment_made_again, {site, block});
  const int64_t images = images_at_once(site, x);
  if (images == 0) return again ? made_again(site, std::move(x), body, false) : body(*this, std::move(x));
  const int64_t all = x.shape()[0];
  size_t row = report_.size();
  banded_.push_back({x.slot, {}, x.shape()});
  in_band_ = true;
  Tensor y;
  for (int64_t first = 0; first < all; first += images, ++band_) {
    const int64_t count = std::min(images, all - first);
    Tensor part = take_band(site, x, first, count);
    part = again ? made_again(site, std::move(part), body, true) : body(*this, std::move(part));
    put_band(site, part, first, count, x, y);
    if (first > 0) merge_rows(row);
    row = report_.size();
  }
  band_ = 0;
  in_band_ = false;
  return y;
}

template <class Body>
Tensor Tape::made_again(std::string_view site, Tensor x, const Body& body, bool in_bands) {
  struct SegmentGrad {
    Slot x, y;
    Saved input;
    int block;
    uint32_t band;
    bool in_bands;
    Body body;
    void operator()(Backward& bw) const { bw.again(*this); }
  };
  const Slot slot = x.slot;
  const Saved input = save(site, "segment", x, Role::other, Form::dense);
  paused_ = true;
  would_record_ = false;
  Tensor y = body(*this, std::move(x));
  paused_ = false;
  if (would_record_)
    record(y, SegmentGrad{slot, {}, input, block_, band_, in_bands, body});
  else
    release(input);  // nothing in it wants a gradient
  return y;
}

template <class Segment>
void Backward::again(const Segment& segment) {
  Tensor in = dense(segment.input);
  in.slot = segment.x;
  const Tape::InBlock here(tape_, segment.block);
  const uint32_t band = std::exchange(tape_.band_, segment.band);
  const size_t row = tape_.report_.size();
  const Tensor out = segment.body(tape_, std::move(in));
  tape_.band_ = band;
  if (segment.in_bands) tape_.merge_rows(row);
  close(segment.input);
  tape_.grads_[static_cast<size_t>(out.slot.id)] = tape_.grads_[static_cast<size_t>(segment.y.id)];
}

template <class Make>
void Tape::recipe(const Tensor& out, std::initializer_list<Saved> sources, Make make, InSources how) {
  static_assert(std::is_trivially_copyable_v<Make>, "a recipe holds tickets, params and numbers - never a Tensor");
  static_assert(sizeof(Make) <= closure_bytes);
  Recipe& r = recipes_.emplace_back();
  require(sources.size() <= r.sources.size(), "tape: a recipe has at most ", r.sources.size(), " sources");
  r.run = [](const void* m, Backward& bw, int64_t first, View band) {
    (*static_cast<const Make*>(m))(bw, first, band);
  };
  r.serial = out.serial();
  r.how = how;
  std::memcpy(r.make.data(), &make, sizeof make);
  size_t i = 0;
  for (Saved s : sources) r.sources[i++] = s;
}

}  // namespace shear
