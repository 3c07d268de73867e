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

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  virtual std::string_view name() const = 0;
  // One update of every parameter that has a gradient, then forgets the gradients.  Gradients are first multiplied by
  // `gradient_scale` (clipping).  step counts from 0.
  virtual void step(int64_t step, float lr, float gradient_scale) = 0;
  virtual std::vector<StateTensor> state() = 0;
};

struct SgdOptions {
  float momentum = 0.9f;
  bool nesterov = false;
};
// v = momentum * v + (g + weight_decay * w);  w -= lr * v.  As PyTorch's, dampening 0.
std::unique_ptr<Optimizer> make_sgd(Device&, std::vector<ParamGroup>, SgdOptions = {});

// The same, for a tape's sink: each parameter is updated as soon as its gradient is complete, and no gradient outlives
// the op that completes it.  A step has one pass, and no clipping: the norm of all gradients is not known in time.  The
// weights have the bits that make_sgd gives them after backward.
class SgdInBackward final : public GradientsInStep {
 public:
  SgdInBackward(Device&, const std::vector<ParamGroup>&, SgdOptions = {});
  ~SgdInBackward() override;
  void set_lr(float lr) { lr_ = lr; }  // of the steps from here on
  void begin_step(std::span<Param* const>, int64_t passes) override;
  std::vector<StateTensor> state();

 private:
  void use(Device&, Param&, const Tensor& gradient) override;

  struct State;
  std::unique_ptr<State> state_;
  SgdOptions options_;
  float lr_ = 0;
};

struct AdamWOptions {
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
};
// Decoupled weight decay (Loshchilov & Hutter 2019): w -= lr * (m^ / (sqrt(v^) + epsilon) + weight_decay * w).
std::unique_ptr<Optimizer> make_adamw(Device&, std::vector<ParamGroup>, AdamWOptions = {});

struct OptimizerOptions {
  std::string name = "adamw";  // or "sgd"
  float momentum = 0.9f;       // of sgd
  float weight_decay = 0;
};
// Throws Fault::usage for another name.
std::unique_ptr<Optimizer> make_optimizer(Device&, Parameters&, const OptimizerOptions&);

// ||g|| over all parameters that have a gradient, in f64.  Not finite where any gradient is not.  Waits for the device
// once.
double gradient_norm(Parameters&);
double gradient_norm(Device&, const Param&);  // of one that has a gradient
// What gradients are multiplied by so that their norm is at most max_norm (0: 1).
float clip_scale(double norm, double max_norm);

// Linear warm-up from 0 over `warmup` steps, then half a cosine from `peak` to `floor` at `steps`.
struct CosineSchedule {
  float peak = 1e-3f, floor = 0;
  int64_t warmup = 0, steps = 1;
  float at(int64_t step) const;  // of step counted from 0; never 0 at step 0
};

}  // namespace shear
