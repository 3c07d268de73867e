// SGD with momentum: after backward, or while it goes on.
#include "shear/optim.h"

#include <algorithm>

#include "optim/state.h"
#include "shear/backend.h"

namespace shear {

namespace {

constexpr std::array<const char*, 1> names{"momentum"};

class Sgd final : public Optimizer {
 public:
  Sgd(Device& device, const std::vector<ParamGroup>& groups, SgdOptions options)
      : device_(device), kept_(keep<1>(device, groups)), options_(options) {}

  std::string_view name() const override { return "sgd"; }

  void step(int64_t, float lr, float gradient_scale) override {
    for (Kept<1>& k : kept_) {
      Param& p = *k.param;
      if (p.writes == 0) continue;
      const SgdStep step{lr * k.lr_scale, options_.momentum, k.weight_decay, gradient_scale, options_.nesterov};
      device_.run().sgd(step, p.value, p.grad, k.tensors[0], p.active);
      p.writes = 0;
    }
  }

  std::vector<StateTensor> state() override { return state_of(kept_, names); }

 private:
  Device& device_;
  std::vector<Kept<1>> kept_;
  SgdOptions options_;
};

}  // namespace

std::unique_ptr<Optimizer> make_sgd(Device& device, std::vector<ParamGroup> groups, SgdOptions options) {
  return std::make_unique<Sgd>(device, groups, options);
}

struct SgdInBackward::State {
  std::vector<Kept<1>> kept;
};

SgdInBackward::SgdInBackward(Device& device, const std::vector<ParamGroup>& groups, SgdOptions options)
    : state_(std::make_unique<State>(State{keep<1>(device, groups)})), options_(options) {}

SgdInBackward::~SgdInBackward() = default;

void SgdInBackward::begin_step(std::span<Param* const> params, int64_t passes) {
  require(passes == 1, "sgd in backward: a step of ", passes, " passes, expected one: the first would update already");
  GradientsInStep::begin_step(params, passes);
}

void SgdInBackward::use(Device& device, Param& p, const Tensor& gradient) {
  const auto at =
      std::find_if(state_->kept.begin(), state_->kept.end(), [&](const Kept<1>& k) { return k.param == &p; });
  require(at != state_->kept.end(), "sgd in backward: ", p.name, " is in no group");
  const SgdStep step{lr_ * at->lr_scale, options_.momentum, at->weight_decay, 1, options_.nesterov};
  device.run().sgd(step, p.value, gradient, at->tensors[0], p.active);
}

std::vector<StateTensor> SgdInBackward::state() { return state_of(state_->kept, names); }

}  // namespace shear
