// gradient_fidelity under policies that depend on the model.
#pragma once
#include "shear/train.h"

namespace shear {

using PoliciesFor = std::function<std::vector<std::string>(const PlanOptions&)>;

std::optional<GradientFidelities> gradient_fidelity(const Recipe&, const RunOptions&, int64_t batches,
                                                    const PoliciesFor&, TrainObserver&);

}  // namespace shear
