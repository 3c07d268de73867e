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

// The same by angles of layer 1 of 3, places in rows of three.
Problem learned(const HeadGrid& g, int64_t count) {
  Problem p;
  Operand places = frozen(normal({2, count}, 2));
  for (int64_t i = 0; i < count; ++i) {
    places.values[static_cast<size_t>(i)] = static_cast<double>(i % 3);
    places.values[static_cast<size_t>(count + i)] = static_cast<double>(i / 3);
  }
  p.inputs = {normal({g.batch, g.tokens, 3 * g.model()}, 1), places};
  p.params = {normal({2, 3, g.heads, g.width / 2}, 3, 0.5)};
  p.op = [=](Tape& tape, std::span<const Tensor> x, std::span<Param*> params) {
    return rotate_learned(tape, "rope", x[0], g.heads, *params[0], 1, x[1]);
  };
  p.reference = [=](std::span<const Values> x, std::span<const Values> params) {
    Values y = x[0];
    const int64_t pairs = g.model() / 2;
    for (int64_t row = 0; row < g.batch * g.tokens; ++row)
      for (int64_t c = 0; c < 2 * g.model(); c += 2) {
        const int64_t place = row % g.tokens - (g.tokens - count), i = c % g.model() / 2;
        if (place < 0) continue;
        double angle = 0;
        for (int64_t axis = 0; axis < 2; ++axis)
          angle += x[1][static_cast<size_t>(axis * count + place)] *
                   params[0][static_cast<size_t>((axis * 3 + 1) * pairs + i)];
        const auto at = static_cast<size_t>(row * 3 * g.model() + c);
        y[at] = x[0][at] * std::cos(angle) - x[0][at + 1] * std::sin(angle);
        y[at + 1] = x[0][at + 1] * std::cos(angle) + x[0][at] * std::sin(angle);
      }
    return y;
  };
  return p;
}

}  // namespace

TEST_CASE("angles that are learned turn as the reference's, and their frequencies get its gradients") {
  for (const auto& [g, count] : {std::pair{HeadGrid{1, 1, 1, 2}, int64_t{1}},
                                 {HeadGrid{3, 5, 2, 4}, 5},
                                 {HeadGrid{2, 13, 3, 8}, 9},
                                 {HeadGrid{9, 7, 1, 6}, 6}}) {
    CAPTURE(g.tokens);
    Problem p = learned(g, count);
    check_gradients(p);
    Problem still = p;
    still.params[0] = frozen(p.params[0]);
    check_gradients(still);
    p.inputs[0] = frozen(p.inputs[0]);
    check_gradients(p);
  }
}

TEST_CASE("turning by learned angles refuses frequencies of other heads or layers, and places of too many tokens") {
  Device device(test_backend(1));
  Tape tape(device);
  const Tensor qkv = upload(device, normal({2, 3, 24}, 1)), three = upload(device, normal({2, 3}, 2)),
               four = upload(device, normal({2, 4}, 2));
  Param p = make_param(device, "freqs", normal({2, 1, 2, 2}, 3)),
        other = make_param(device, "f", normal({2, 1, 1, 4}, 3));
  const auto refused = [&](Param& frequencies, int64_t layer, const Tensor& places) {
    return sentence(Fault::internal, [&] { rotate_learned(tape, "rope", qkv, 2, frequencies, layer, places); });
  };
  CHECK(refused(p, 1, three) ==
        "rotate_learned rope: frequencies (2, 1, 2, 2) have none for layer 1 of 2 heads of 4 values");
  CHECK(refused(other, 0, three) ==
        "rotate_learned rope: frequencies (2, 1, 1, 4) have none for layer 0 of 2 heads of 4 values");
  CHECK(refused(p, 0, four) == "rotate_learned rope: places (2, 4) do not fit 3 tokens");
}

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
