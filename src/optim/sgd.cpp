// SGD with momentum
#include "optim/state.h"

namespace shear {

namespace {

class Sgd final : public Keeping<1> {
 public:
  Sgd(Device& device, const std::vector<ParamGroup>& groups, SgdOptions options)
      : Keeping(device, groups, options.state, {{{"momentum", signed_zero}}}), options_(options) {}

  std::string_view name() const override { return "sgd"; }
  // Nesterov's step needs the whole gradient beside the momentum.
  bool adds_passes() const override { return !options_.nesterov; }

 private:
  // v = momentum v + g1 + weight_decay w, then v += g2, ...; the last pass moves the weights.
  void apply(const Update& u, Kept<1>& k, const Tensor& gradient) override {
    const bool first = u.pass == 0, last = u.pass + 1 == u.passes;
    const SgdStep step{last ? u.lr * k.lr_scale : 0, first ? options_.momentum : 1, first ? k.weight_decay : 0,
                       u.gradient_scale, options_.nesterov};
    const Tensor& active = k.param->active;
    const WeightView w = weights(options_.seed, u.step, k);
    Moment& v = k.moments[0];
    if (v.coded())
      run().sgd_coded(step, w, gradient, v.values, v.scales, active);
    else
      run().sgd(step, w, gradient, v.values, active);
  }

  SgdOptions options_;
};

}  // namespace

std::unique_ptr<Optimizer> make_sgd(Device& device, std::vector<ParamGroup> groups, SgdOptions options) {
  return std::make_unique<Sgd>(device, groups, options);
}

}  // namespace shear
