// Linear warm-up, then half a cosine.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "shear/optim.h"

namespace shear {

float CosineSchedule::at(int64_t step) const {
  if (step < warmup) return peak * static_cast<float>(step + 1) / static_cast<float>(warmup + 1);
  const double length = static_cast<double>(std::max<int64_t>(1, steps - warmup));
  const double done = std::min(1.0, static_cast<double>(step - warmup) / length);
  const double share = 0.5 * (1 + std::cos(std::numbers::pi * done));
  return floor + static_cast<float>(share) * (peak - floor);
}

}  // namespace shear
