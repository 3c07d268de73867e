// The norm of a gradient over all parameters, and what keeps it small.
#include <cmath>

#include "shear/backend.h"
#include "shear/optim.h"

namespace shear {

double gradient_norm(Parameters& parameters) {
  double squares = 0;
  for (const Param& p : parameters)
    if (p.writes > 0) squares += parameters.device().run().sum_squares(p.grad);
  return std::sqrt(squares);
}

float clip_scale(double norm, double max_norm) {
  if (max_norm <= 0 || norm <= max_norm) return 1;
  return static_cast<float>(max_norm / norm);
}

}  // namespace shear
