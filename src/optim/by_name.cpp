// Optimizers by name.
#include "shear/error.h"
#include "shear/optim.h"

namespace shear {

std::unique_ptr<Optimizer> make_optimizer(Device& device, Parameters& parameters, const OptimizerOptions& options) {
  auto groups = decay_groups(parameters, options.weight_decay);
  if (options.name == "sgd")
    return make_sgd(device, std::move(groups),
                    {.momentum = options.momentum, .state = options.state, .seed = options.seed});
  if (options.name == "adamw")
    return make_adamw(device, std::move(groups), {.state = options.state, .seed = options.seed});
  fail(Fault::usage, setting("optimizer"), " ", options.name, ": expected adamw or sgd");
}

}  // namespace shear
