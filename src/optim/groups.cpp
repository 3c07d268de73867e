// Which parameters decay.
#include "shear/optim.h"

namespace shear {

std::vector<ParamGroup> decay_groups(Parameters& parameters, float weight_decay) {
  std::vector<ParamGroup> groups{{{}, weight_decay, 1}, {{}, 0, 1}};
  for (Param& p : parameters)
    if (p.trainable) groups[p.decay ? 0 : 1].params.push_back(&p);
  return groups;
}

}  // namespace shear
