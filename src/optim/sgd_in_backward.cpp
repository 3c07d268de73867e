// SGD whose updates run while backward goes on.
#include <algorithm>

#include "optim/state.h"
#include "shear/backend.h"

namespace shear {

SgdInBackward::SgdInBackward(Device& device, std::vector<ParamGroup> groups, SgdOptions options) : options_(options) {
  for (const ParamGroup& g : groups)
    for (const Param* p : g.params) all_.push_back({p, g.weight_decay, g.lr_scale, zeros_like(device, *p)});
}

void SgdInBackward::begin_step(std::span<Param* const> params, int64_t passes) {
  require(passes == 1, "sgd in backward: a step of ", passes, " passes, expected one: the first would update already");
  GradientsInStep::begin_step(params, passes);
}

void SgdInBackward::use(Device& device, Param& p, const Tensor& gradient) {
  const auto at = std::find_if(all_.begin(), all_.end(), [&](const State& s) { return s.param == &p; });
  require(at != all_.end(), "sgd in backward: ", p.name, " is in no group");
  const SgdStep step{lr_ * at->lr_scale, options_.momentum, at->weight_decay, 1, options_.nesterov};
  device.run().sgd(step, p.value, gradient, at->velocity, p.active);
}

std::vector<StateTensor> SgdInBackward::state() {
  std::vector<StateTensor> all;
  for (const State& s : all_) all.push_back({"momentum." + s.param->name, s.velocity});
  return all;
}

}  // namespace shear
