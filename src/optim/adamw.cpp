// AdamW: Adam with decoupled weight decay
#include <cmath>

#include "optim/state.h"

namespace shear {

namespace {

class AdamW final : public Keeping<2> {
 public:
  AdamW(Device& device, const std::vector<ParamGroup>& groups, AdamWOptions options)
      : Keeping(device, groups, options.state, {{{"first_moment", signed_zero}, {"second_moment", unsigned_zero}}}),
        options_(options) {}

  std::string_view name() const override { return "adamw"; }

 private:
  void apply(const Update& u, Kept<2>& k, const Tensor& gradient) override {
    const double t = static_cast<double>(u.step + 1);
    const auto correction = [t](float beta) { return static_cast<float>(1 - std::pow(static_cast<double>(beta), t)); };
    const AdamWStep step{u.lr * k.lr_scale,
                         options_.beta1,
                         options_.beta2,
                         options_.epsilon,
                         k.weight_decay,
                         u.gradient_scale,
                         correction(options_.beta1),
                         correction(options_.beta2)};
    const Tensor& active = k.param->active;
    const WeightView w = weights(options_.seed, u.step, k);
    auto& [m, v] = k.moments;
    if (m.coded())
      run().adamw_coded(step, stream(options_.seed, Purpose::rounding, u.step, k), w, gradient, m.values, m.scales,
                        v.values, v.scales, active);
    else
      run().adamw(step, w, gradient, m.values, v.values, active);
  }

  AdamWOptions options_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adamw(Device& device, std::vector<ParamGroup> groups, AdamWOptions options) {
  return std::make_unique<AdamW>(device, groups, options);
}

}  // namespace shear
