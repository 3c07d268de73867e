// Where the gradients of parameters go while backward runs.
//
// The tape counts the uses of each parameter in the forward pass.  In backward every op that has a share of a gradient
// opens the sink and adds to what it is handed; once the last op that uses the parameter has returned, whether that op
// was recorded or belongs to a segment that was made again, the gradient is complete, and the sink is told, once in a
// pass.
#pragma once
#include <functional>
#include <span>
#include <vector>

#include "shear/api.h"
#include "shear/device.h"

namespace SHEAR_API shear {

class GradientSink {
 public:
  virtual ~GradientSink() = default;

  // What will be trained: once, when a tape is made with this sink.
  virtual void prepare(Device&, std::span<Param* const>) {}
  virtual void begin_step(std::span<Param* const>, int64_t /*passes*/) {}

  struct Room {
    Tensor into;  // of the parameter's shape
    float beta;   // 0 at the first write, then 1
  };
  virtual Room open(Device&, Param&) = 0;
  // Between the first `open` of a pass and `complete`.
  virtual const Tensor& gradient(const Param&) const = 0;
  virtual void complete(Device&, Param&) = 0;
};

// The default: adds into Param::grad, over all passes of a step, for an optimizer that runs after backward.  One for
// all tapes: it has no state of its own.
GradientSink& accumulate_gradients();

// A sink whose gradients lie in the step's slab, and only until they are complete: no parameter has a buffer of its
// own. What is done with a complete gradient is `use`, which may not keep it.
class GradientsInStep : public GradientSink {
 public:
  void begin_step(std::span<Param* const>, int64_t passes) override;
  Room open(Device&, Param&) override;
  const Tensor& gradient(const Param&) const override;
  void complete(Device&, Param&) final;

 protected:
  virtual void use(Device&, Param&, const Tensor& gradient) = 0;

 private:
  struct Open {
    const Param* param;
    Tensor gradient;
  };
  std::vector<Open> open_;  // few at a time
};

// Hands each complete gradient to the host.  The span lives until the next one.
class ReadGradients final : public GradientsInStep {
 public:
  explicit ReadGradients(std::function<void(const Param&, std::span<const float>)> read) : read_(std::move(read)) {}

 private:
  void use(Device&, Param&, const Tensor& gradient) override;

  std::function<void(const Param&, std::span<const float>)> read_;
  std::vector<float> host_;
};

}  // namespace shear
