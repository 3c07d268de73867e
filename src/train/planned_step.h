// The training step that PlanOptions describe, on a device of whoever plans or times it.
#pragma once
#include "shear/train.h"

namespace shear {

inline constexpr size_t most_planned_bytes = size_t{1} << 44;  // of a step

struct PlannedStep {
  PlannedStep(const PlanOptions&, Device&, Values);

  std::unique_ptr<Model> model;
  std::unique_ptr<MemoryPolicy> policy;
  std::unique_ptr<Optimizer> optimizer;
  TrainStep step;
};

}  // namespace shear
