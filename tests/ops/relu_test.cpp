// y = max(x, 0)
#include "shear/ops.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "backend.h"
#include "gradcheck.h"
#include "shear/policies.h"

using namespace shear;
using namespace shear::test;

TEST_CASE("ReLU agrees with the reference in values and gradients for sizes with tails") {
  for (const Shape& shape : {Shape{1}, Shape{3, 31}, Shape{197, 33}, Shape{2, 3, 5}}) {
    CAPTURE(shape.str());
    Problem p;
    p.inputs = {normal(shape, 1)};
    for (double& x : p.inputs[0].values)  // away from the corner, which a difference cannot see
      if (std::fabs(x) < 0.01) x = 0.25;
    p.op = [](Tape& tape, std::span<const Tensor> inputs, std::span<Param*>) { return relu(tape, "act", inputs[0]); };
    p.reference = [](std::span<const Values> inputs, std::span<const Values>) {
      Values y;
      for (const double x : inputs[0]) y.push_back(std::max(x, 0.0));
      return y;
    };
    check_gradients(p);
  }
}

TEST_CASE("ReLU at zero has no slope, and hands nan on") {
  Device device(test_backend(1));
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Tensor x = device.upload({4}, Category::workspace, std::vector<float>{0, -0.f, nan, 2});
  tape.watch(x);
  const Tensor y = relu(tape, "act", x);
  const std::vector<float> values = device.download(y);
  CHECK(values[0] == 0);
  CHECK(values[1] == 0);
  CHECK(std::isnan(values[2]));
  CHECK(values[3] == 2);
  const Tensor ones = device.upload({4}, Category::workspace, std::vector<float>(4, 1.f));
  tape.backward(weighted_sum(tape, y, ones));
  const std::vector<float> slope = device.download(tape.grad(x));
  CHECK(slope[0] == 0);
  CHECK(slope[1] == 0);
  CHECK(slope[3] == 1);
}

TEST_CASE("ReLU saves its output, which is what the next layer saves too") {
  Device device(test_backend(1));
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  Tensor x = upload(device, normal({3, 31}, 1));
  tape.watch(x);
  Param w = make_param(device, "w", normal({5, 31}, 2));
  const Tensor y = linear(tape, "fc", relu(tape, "act", x), w, nullptr);
  REQUIRE(tape.report().size() == 2);
  CHECK(tape.report()[0].got == "dense");
  CHECK(tape.report()[1].got == "shared");
  CHECK(device.meter().live(Category::saved) == aligned(3 * 31 * 4));
}
