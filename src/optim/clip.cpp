// The norm of a gradient over all parameters, and what keeps it small.
#include <cmath>
#include <utility>

#include "shear/backend.h"
#include "shear/error.h"
#include "shear/optim.h"

namespace shear {

namespace {

// A number in the device's memory, waited for once.
class Squares {
 public:
  explicit Squares(Device& device) : device_(device), sum_(device.empty({1}, Category::workspace, DType::f64)) {}
  void add(const Tensor& x) { device_.run().sum_squares(x, std::exchange(beta_, 1.f), sum_); }
  double root() const {
    double sum = 0;
    if (beta_ == 1) device_.run().download(&sum, sum_.data<void>(), sizeof sum);
    return std::sqrt(sum);
  }

 private:
  Device& device_;
  Tensor sum_;
  float beta_ = 0;
};

}  // namespace

double gradient_norm(Parameters& parameters) {
  Squares squares(parameters.device());
  for (const Param& p : parameters)
    if (p.writes > 0) squares.add(p.grad);
  return squares.root();
}

double gradient_norm(Device& device, const Tensor& gradient) {
  Squares squares(device);
  squares.add(gradient);
  return squares.root();
}

float clip_scale(double norm, double max_norm) {
  if (max_norm <= 0 || norm <= max_norm) return 1;
  return static_cast<float>(max_norm / norm);
}

ClipBy parse_clip_by(std::string_view word) {
  if (word == "norm") return ClipBy::norm;
  if (word == "previous") return ClipBy::previous;
  if (word == "tensor") return ClipBy::tensor;
  fail(Fault::usage, setting("clip-by"), " ", word, ": expected norm, previous or tensor");
}

}  // namespace shear
