// AdamW: Adam with decoupled weight decay
#include <cmath>

#include "optim/state.h"
#include "shear/backend.h"

namespace shear {

namespace {

class AdamW final : public Optimizer {
 public:
  AdamW(Device& device, const std::vector<ParamGroup>& groups, AdamWOptions options)
      : device_(device), kept_(keep<2>(device, groups)), options_(options) {}

  std::string_view name() const override { return "adamw"; }

  void step(int64_t step, float lr, float gradient_scale) override {
    const double t = static_cast<double>(step + 1);
    const auto correction = [t](float beta) { return static_cast<float>(1 - std::pow(static_cast<double>(beta), t)); };
    const float correction1 = correction(options_.beta1), correction2 = correction(options_.beta2);
    for (Kept<2>& k : kept_) {
      Param& p = *k.param;
      if (p.writes == 0) continue;
      const AdamWStep s{lr * k.lr_scale, options_.beta1, options_.beta2, options_.epsilon,
                        k.weight_decay,  gradient_scale, correction1,    correction2};
      device_.run().adamw(s, p.value, p.grad, k.tensors[0], k.tensors[1], p.active);
      p.writes = 0;
    }
  }

  std::vector<StateTensor> state() override { return state_of<2>(kept_, {"first_moment", "second_moment"}); }

 private:
  Device& device_;
  std::vector<Kept<2>> kept_;
  AdamWOptions options_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adamw(Device& device, std::vector<ParamGroup> groups, AdamWOptions options) {
  return std::make_unique<AdamW>(device, groups, options);
}

}  // namespace shear
