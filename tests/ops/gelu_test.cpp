// y = x Phi(x), in its forms: gradients, and accuracy over the range in which it bends and far beyond.
#include "shear/ops.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "backend.h"
#include "gradcheck.h"
#include "shear/policies.h"

using namespace shear;
using namespace shear::test;

namespace {

double exact(double x) { return 0.5 * x * std::erfc(-x / std::numbers::sqrt2); }
double exact_slope(double x) {
  return 0.5 * std::erfc(-x / std::numbers::sqrt2) + x * std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi);
}
double approximate(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}

double quick(double x) { return x / (1 + std::exp(-1.702 * x)); }

double gelu_of(GeluForm form, double x) {
  return form == GeluForm::exact ? exact(x) : form == GeluForm::tanh ? approximate(x) : quick(x);
}

constexpr GeluForm forms[] = {GeluForm::exact, GeluForm::tanh, GeluForm::quick};

Problem problem(Operand x, GeluForm form) {
  Problem p;
  p.inputs = {std::move(x)};
  p.op = [form](Tape& tape, std::span<const Tensor> inputs, std::span<Param*>) {
    return gelu(tape, "act", inputs[0], form);
  };
  p.reference = [form](std::span<const Values> inputs, std::span<const Values>) {
    Values y;
    for (const double x0 : inputs[0]) y.push_back(gelu_of(form, x0));
    return y;
  };
  return p;
}

struct Sweep {
  std::vector<float> x, y, slope;
};

// Values and slopes at these points.
Sweep sweep(const std::vector<float>& points, GeluForm form) {
  Device device(test_backend(1));
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  const int64_t n = static_cast<int64_t>(points.size());
  Tensor x = device.upload({n}, Category::workspace, points);
  tape.watch(x);
  const Tensor y = gelu(tape, "act", x, form);
  const Tensor ones = device.upload({n}, Category::workspace, std::vector<float>(points.size(), 1.f));
  Sweep s{points, device.download(y), {}};
  tape.backward(weighted_sum(tape, y, ones));
  s.slope = device.download(tape.grad(x));
  return s;
}

}  // namespace

TEST_CASE("all forms of GELU agree with the reference in values and gradients for sizes with tails") {
  for (const GeluForm form : forms)
    for (const Shape& x : {Shape{1}, Shape{3, 31}, Shape{197, 33}, Shape{2, 3, 5}}) {
      CAPTURE(x.str());
      check_gradients(problem(normal(x, 1, 2), form));
    }
}

TEST_CASE("exact GELU is accurate from -10 to 10, where its values fall to 1e-22 and still count") {
  std::vector<float> points;
  for (int i = -10000; i <= 10000; ++i) points.push_back(static_cast<float>(i) * 1e-3f);
  const Sweep s = sweep(points, GeluForm::exact);
  double absolute = 0, relative = 0, slope = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    const double x = static_cast<double>(s.x[i]), error = std::fabs(static_cast<double>(s.y[i]) - exact(x));
    absolute = std::max(absolute, error / std::max(1.0, std::fabs(x)));
    if (x != 0) relative = std::max(relative, error / std::fabs(exact(x)));
    slope = std::max(slope, std::fabs(static_cast<double>(s.slope[i]) - exact_slope(x)));
  }
  CHECK(absolute < 2e-7);
  // Of the tail: x^2 / 2 is rounded before it is exponentiated, and a device's exp is not the CPU's.
  CHECK(relative < (test_device() == DeviceKind::cpu ? 5e-6 : 6e-6));
  CHECK(slope < 4e-7);
}

TEST_CASE("GELU far from zero is x or zero, with a slope of one or zero and never nan") {
  for (const GeluForm form : forms) {
    std::vector<float> far{50, 1e4f, 1e18f};
    if (form != GeluForm::quick) far.push_back(14);  // where exp(-1.702 * 14) is still seen
    const Sweep right = sweep(far, form);
    std::vector<float> negative;
    for (const float x : far) negative.push_back(-x);
    const Sweep left = sweep(negative, form);
    for (size_t i = 0; i < far.size(); ++i) {
      CAPTURE(far[i]);
      CHECK(right.y[i] == far[i]);
      CHECK(right.slope[i] == 1);
      CHECK(std::fabs(left.y[i]) < 1e-18f);
      CHECK(std::fabs(left.slope[i]) < 1e-18f);
    }
  }
}

TEST_CASE("GELU hands nan on rather than hide it") {
  for (const GeluForm form : forms) {
    const Sweep s = sweep({std::numeric_limits<float>::quiet_NaN(), 1}, form);
    CHECK(std::isnan(s.y[0]));
    CHECK(std::isnan(s.slope[0]));
    CHECK_FALSE(std::isnan(s.y[1]));
  }
}
