// SGD with momentum
#include "optim/state.h"
#include "shear/backend.h"

namespace shear {

namespace {

class Sgd final : public Optimizer {
 public:
  Sgd(Device& device, std::vector<ParamGroup> groups, SgdOptions options)
      : device_(device), groups_(std::move(groups)), options_(options) {
    for (const ParamGroup& g : groups_)
      for (const Param* p : g.params) velocity_.push_back(zeros_like(device_, *p));
  }

  std::string_view name() const override { return "sgd"; }

  void step(int64_t, float lr, float gradient_scale) override {
    size_t i = 0;
    for (const ParamGroup& g : groups_)
      for (Param* p : g.params) {
        Tensor& v = velocity_[i++];
        if (p->writes == 0) continue;
        const SgdStep step{lr * g.lr_scale, options_.momentum, g.weight_decay, gradient_scale, options_.nesterov};
        device_.run().sgd(step, p->value, p->grad, v, p->active);
        p->writes = 0;
      }
  }

  std::vector<StateTensor> state() override {
    std::vector<StateTensor> all;
    size_t i = 0;
    for (const ParamGroup& g : groups_)
      for (const Param* p : g.params) all.push_back({"momentum." + p->name, velocity_[i++]});
    return all;
  }

 private:
  Device& device_;
  std::vector<ParamGroup> groups_;
  SgdOptions options_;
  std::vector<Tensor> velocity_;  // one per parameter, in the order of the groups
};

}  // namespace

std::unique_ptr<Optimizer> make_sgd(Device& device, std::vector<ParamGroup> groups, SgdOptions options) {
  return std::make_unique<Sgd>(device, std::move(groups), options);
}

}  // namespace shear
