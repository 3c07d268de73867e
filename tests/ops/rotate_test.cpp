// Rotary positions: queries and keys turned by the angles of their tokens.
#include "shear/ops.h"

#include <doctest/doctest.h>

#include <cmath>

#include "backend.h"
#include "errors.h"
#include "gradcheck.h"

using namespace shear;
using namespace shear::test;

namespace {

// (B, N, 3, H, W), the last `places` tokens turned.
Problem problem(const HeadGrid& g, int64_t places, RotaryPairs pairs) {
  Problem p;
  p.inputs = {normal({g.batch, g.tokens, 3 * g.model()}, 1), frozen(normal({places, g.width}, 2)),
              frozen(normal({places, g.width}, 3))};
  p.op = [=](Tape& tape, std::span<const Tensor> x, std::span<Param*>) {
    return rotate(tape, "rope", x[0], g.heads, {x[1], x[2], pairs});
  };
  p.reference = [=](std::span<const Values> x, std::span<const Values>) {
    Values y = x[0];
    const int64_t half = g.width / 2;
    for (int64_t row = 0; row < g.batch * g.tokens; ++row)
      for (int64_t c = 0; c < 2 * g.model(); ++c) {
        const int64_t place = row % g.tokens - (g.tokens - places), i = c % g.width;
        if (place < 0) continue;
        const bool leads = pairs == RotaryPairs::halves ? i < half : i % 2 == 0;
        const int64_t apart = pairs == RotaryPairs::halves ? half : 1, other = leads ? i + apart : i - apart;
        const auto at = static_cast<size_t>(row * 3 * g.model() + c), angle = static_cast<size_t>(place * g.width + i);
        const double partner = x[0][static_cast<size_t>(row * 3 * g.model() + c - i + other)];
        y[at] = x[0][at] * x[2][angle] + (leads ? -partner : partner) * x[1][angle];
      }
    return y;
  };
  return p;
}

}  // namespace

TEST_CASE("queries and keys turn as the reference's, whatever the angles, and their gradients turn back") {
  for (const RotaryPairs pairs : {RotaryPairs::neighbours, RotaryPairs::halves}) {
    check_gradients(problem({1, 1, 1, 2}, 1, pairs));
    check_gradients(problem({3, 5, 2, 6}, 5, pairs));
    check_gradients(problem({2, 33, 3, 8}, 28, pairs));
  }
}

TEST_CASE("turning refuses angles of other tokens or another width") {
  Device device(test_backend(1));
  Tape tape(device);
  const Tensor qkv = upload(device, normal({2, 3, 12}, 1));
  const auto refused = [&](int64_t heads, const Shape& angles) {
    const Tensor a = upload(device, normal(angles, 2));
    return sentence(Fault::internal, [&] { rotate(tape, "rope", qkv, heads, {a, a}); });
  };
  CHECK(refused(4, {3, 1}) == "rotate rope: expected (B, N, 3 * 4 * an even width), found (2, 3, 12)");
  CHECK(refused(1, {4, 4}) == "rotate rope: angles (4, 4) do not fit 3 tokens of 4 values a head");
  CHECK(refused(1, {3, 2}) == "rotate rope: angles (3, 2) do not fit 3 tokens of 4 values a head");
}
