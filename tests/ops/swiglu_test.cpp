// y = silu(a) b, for a and b side by side.
#include "shear/ops.h"

#include <doctest/doctest.h>

#include <cmath>

#include "backend.h"
#include "errors.h"
#include "gradcheck.h"

using namespace shear;
using namespace shear::test;

TEST_CASE("SwiGLU agrees with the reference in values and gradients for sizes with tails") {
  for (const Shape& x : {Shape{1, 2}, Shape{3, 62}, Shape{197, 34}, Shape{2, 3, 10}, Shape{1300, 6}}) {
    CAPTURE(x.str());
    Problem p;
    p.inputs = {normal(x, 1, 2)};
    p.op = [](Tape& tape, std::span<const Tensor> inputs, std::span<Param*>) { return swiglu(tape, "act", inputs[0]); };
    p.reference = [n = static_cast<size_t>(x.cols() / 2)](std::span<const Values> inputs, std::span<const Values>) {
      const Values& in = inputs[0];
      Values y;
      for (size_t row = 0; row < in.size(); row += 2 * n)
        for (size_t i = 0; i < n; ++i) y.push_back(in[row + i] / (1 + std::exp(-in[row + i])) * in[row + n + i]);
      return y;
    };
    check_gradients(p);
  }
}

TEST_CASE("SwiGLU refuses what has no two halves") {
  Device device(test_backend(1));
  Tape tape(device);
  const Tensor x = upload(device, normal({2, 3}, 1));
  CHECK(sentence(Fault::internal, [&] { swiglu(tape, "act", x); }) == "swiglu act: input (2, 3) has no two halves");
}
