// y = a + b, and what becomes of a gradient that several values share.
#include "shear/ops.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "backend.h"
#include "errors.h"
#include "gradcheck.h"
#include "shear/policies.h"

using namespace shear;
using namespace shear::test;

namespace {

double gelu_of(double x) { return 0.5 * x * std::erfc(-x / std::numbers::sqrt2); }

}  // namespace

TEST_CASE("a sum agrees with the reference in values and gradients for sizes with tails") {
  for (const Shape& shape : {Shape{1}, Shape{3, 31}, Shape{197, 33}, Shape{2, 3, 5}}) {
    CAPTURE(shape.str());
    for (const bool one_is_frozen : {false, true}) {
      Problem p;
      p.inputs = {normal(shape, 1), one_is_frozen ? frozen(normal(shape, 2)) : normal(shape, 2)};
      p.op = [](Tape& tape, std::span<const Tensor> x, std::span<Param*>) { return add(tape, "sum", x[0], x[1]); };
      p.reference = [](std::span<const Values> x, std::span<const Values>) {
        Values y = x[0];
        for (size_t i = 0; i < y.size(); ++i) y[i] += x[1][i];
        return y;
      };
      check_gradients(p);
    }
  }
}

TEST_CASE("a value added to itself gets its gradient twice") {
  Problem p;
  p.inputs = {normal({3, 31}, 1)};
  p.op = [](Tape& tape, std::span<const Tensor> x, std::span<Param*>) { return add(tape, "sum", x[0], x[0]); };
  p.reference = [](std::span<const Values> x, std::span<const Values>) {
    Values y = x[0];
    for (double& v : y) v *= 2;
    return y;
  };
  check_gradients(p);
}

TEST_CASE("a value used by several ops gets the sum of their gradients") {
  Problem p;
  p.inputs = {normal({5, 33}, 1)};
  p.params = {normal({33, 33}, 2, 0.3)};
  p.op = [](Tape& tape, std::span<const Tensor> x, std::span<Param*> w) {
    const Tensor a = add(tape, "a", gelu(tape, "g", x[0]), x[0]);
    return add(tape, "b", linear(tape, "fc", a, *w[0], nullptr), a);
  };
  p.reference = [](std::span<const Values> x, std::span<const Values> w) {
    Values a = x[0], y(a.size());
    for (double& v : a) v += gelu_of(v);
    for (size_t r = 0; r < 5; ++r)
      for (size_t o = 0; o < 33; ++o) {
        y[r * 33 + o] = a[r * 33 + o];
        for (size_t i = 0; i < 33; ++i) y[r * 33 + o] += a[r * 33 + i] * w[0][o * 33 + i];
      }
    return y;
  };
  check_gradients(p);
}

TEST_CASE("an op that works in place does not spoil a gradient that another value shares") {
  Problem p;  // gelu's gradient may lie over the one that arrives, which is also that of x1 and of x2
  p.inputs = {normal({3, 31}, 1), normal({3, 31}, 2), normal({3, 31}, 3)};
  p.op = [](Tape& tape, std::span<const Tensor> x, std::span<Param*>) {
    return add(tape, "a", add(tape, "b", gelu(tape, "g", x[0]), x[1]), gelu(tape, "h", x[2]));
  };
  p.reference = [](std::span<const Values> x, std::span<const Values>) {
    Values y = x[1];
    for (size_t i = 0; i < y.size(); ++i) y[i] += gelu_of(x[0][i]) + gelu_of(x[2][i]);
    return y;
  };
  check_gradients(p);
}

TEST_CASE("a sum saves nothing, and records nothing where nobody asks") {
  Device device(test_backend(1));
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  Tensor a = upload(device, normal({3, 31}, 1)), b = upload(device, normal({3, 31}, 2));
  CHECK_FALSE(add(tape, "sum", a, b).slot.wanted());
  tape.watch(b);
  CHECK(add(tape, "sum", a, b).slot.wanted());
  CHECK(tape.report().empty());
}

TEST_CASE("a sum is written over a term that is given away, the first of two, and over none that somebody holds") {
  Device device(test_backend(1));
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  const Tensor a = upload(device, normal({3, 31}, 1)), b = upload(device, normal({3, 31}, 2));
  const auto copy = [&](const Tensor& x) {
    Tensor y = tape.empty(x.shape());
    device.run().copy(x, 0, y);
    return y;
  };
  const Tensor apart = add(tape, "sum", a, b);
  CHECK(apart.data() != a.data());
  CHECK(apart.data() != b.data());
  Tensor first = copy(a), second = copy(b);
  const float* place = first.data();
  const Tensor over_first = add(tape, "sum", std::move(first), std::move(second));
  CHECK(over_first.data() == place);
  second = copy(b);
  const float* other = second.data();
  const Tensor over_second = add(tape, "sum", a, std::move(second));
  CHECK(over_second.data() == other);
  CHECK(device.download(over_first) == device.download(apart));
  CHECK(device.download(over_second) == device.download(apart));
  CHECK(device.download(a) != device.download(apart));
}

TEST_CASE("a sum of different shapes is refused with its site and both") {
  Device device(test_backend(1));
  Tape tape(device);
  const Tensor a = upload(device, normal({3, 31}, 1)), b = upload(device, normal({31, 3}, 2));
  CHECK(sentence(Fault::internal, [&] { add(tape, "blocks.0.add1", a, b); }) ==
        "add blocks.0.add1: (3, 31) and (31, 3) differ");
}
