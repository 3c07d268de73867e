// The training step that PlanOptions describe.
#include "train/planned_step.h"

namespace shear {

static std::unique_ptr<Model> make_trained(const PlanOptions& options, Device& device, Values values) {
  auto model = options.model->make(device, 0, {values, options.weights_as, options.lora});
  choose_trainable(model->parameters(), options.train);
  return model;
}

PlannedStep::PlannedStep(const PlanOptions& options, Device& device, Values values)
    : model(make_trained(options, device, values)),
      policy(make_policy(options.policy)),
      optimizer(make_optimizer(device, model->parameters(), options.optimizer)),
      step(device, model->parameters(), std::ref(*model), *policy, *optimizer,
           {.input = options.model->input(),
            .accumulate = options.accumulate,
            .update_in_backward = options.update_in_backward}) {}

}  // namespace shear
