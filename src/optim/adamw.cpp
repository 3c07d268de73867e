// AdamW: Adam with decoupled weight decay
#include <cmath>

#include "optim/state.h"
#include "shear/backend.h"

namespace shear {

namespace {

class AdamW final : public Optimizer {
 public:
  AdamW(Device& device, std::vector<ParamGroup> groups, AdamWOptions options)
      : device_(device), groups_(std::move(groups)), options_(options) {
    for (const ParamGroup& g : groups_)
      for (const Param* p : g.params) moments_.push_back({zeros_like(device_, *p), zeros_like(device_, *p)});
  }

  std::string_view name() const override { return "adamw"; }

  void step(int64_t step, float lr, float gradient_scale) override {
    const double t = static_cast<double>(step + 1);
    const auto correction = [t](float beta) { return static_cast<float>(1 - std::pow(static_cast<double>(beta), t)); };
    const float correction1 = correction(options_.beta1), correction2 = correction(options_.beta2);
    size_t i = 0;
    for (const ParamGroup& g : groups_)
      for (Param* p : g.params) {
        Moments& m = moments_[i++];
        if (p->writes == 0) continue;
        const AdamWStep s{lr * g.lr_scale, options_.beta1, options_.beta2, options_.epsilon,
                          g.weight_decay,  gradient_scale, correction1,    correction2};
        device_.run().adamw(s, p->value, p->grad, m.first, m.second, p->active);
        p->writes = 0;
      }
  }

  std::vector<StateTensor> state() override {
    std::vector<StateTensor> all;
    size_t i = 0;
    for (const ParamGroup& g : groups_)
      for (const Param* p : g.params) {
        all.push_back({"first_moment." + p->name, moments_[i].first});
        all.push_back({"second_moment." + p->name, moments_[i++].second});
      }
    return all;
  }

 private:
  struct Moments {
    Tensor first, second;
  };
  Device& device_;
  std::vector<ParamGroup> groups_;
  AdamWOptions options_;
  std::vector<Moments> moments_;  // one per parameter, in the order of the groups
};

}  // namespace

std::unique_ptr<Optimizer> make_adamw(Device& device, std::vector<ParamGroup> groups, AdamWOptions options) {
  return std::make_unique<AdamW>(device, std::move(groups), options);
}

}  // namespace shear
