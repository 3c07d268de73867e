// Attention of one query over the tokens of each sequence, and parameters as values.
#include "shear/ops.h"

#include <doctest/doctest.h>

#include <cmath>

#include "backend.h"
#include "errors.h"
#include "gradcheck.h"

using namespace shear;
using namespace shear::test;

namespace {

Problem problem(const HeadGrid& g, int64_t first) {
  Problem p;
  p.inputs = {normal({g.model()}, 1), normal({g.batch, g.tokens, 2 * g.model()}, 2)};
  p.op = [g, first](Tape& tape, std::span<const Tensor> x, std::span<Param*>) {
    return attention_pool(tape, "pool", x[0], x[1], g.heads, first);
  };
  p.reference = [g, first](std::span<const Values> x, std::span<const Values>) {
    Values y;
    for (int64_t b = 0; b < g.batch; ++b)
      for (int64_t c = 0; c < g.model(); ++c) {
        const int64_t left = c / g.width * g.width;
        const auto at = [&](int64_t n, int64_t column) {
          return x[1][static_cast<size_t>((b * g.tokens + n) * 2 * g.model() + column)];
        };
        double sum = 0, out = 0;
        for (int64_t n = first; n < g.tokens; ++n) {
          double score = 0;
          for (int64_t w = left; w < left + g.width; ++w) score += x[0][static_cast<size_t>(w)] * at(n, w);
          const double e = std::exp(score / std::sqrt(static_cast<double>(g.width)));
          sum += e;
          out += e * at(n, g.model() + c);
        }
        y.push_back(out / sum);
      }
    return y;
  };
  return p;
}

}  // namespace

TEST_CASE("pooling by attention agrees with the reference in values and gradients, with or without the first tokens") {
  for (const HeadGrid& g : {HeadGrid{1, 1, 1, 1}, HeadGrid{3, 2, 2, 5}, HeadGrid{2, 33, 2, 8}, HeadGrid{9, 5, 3, 7}})
    for (const int64_t first : {int64_t{0}, g.tokens - 1}) {
      CAPTURE(g.tokens);
      CAPTURE(first);
      Problem p = problem(g, first);
      check_gradients(p);
      for (Operand& input : p.inputs) {
        const Operand before = std::exchange(input, frozen(input));
        check_gradients(p);
        input = before;
      }
    }
}

TEST_CASE("pooling by attention refuses shapes that do not fit and tokens that are not there") {
  Device device(test_backend(1));
  Tape tape(device);
  const Tensor query = upload(device, normal({6}, 1)), kv = upload(device, normal({2, 3, 12}, 2));
  const auto refused = [&](const Tensor& q, const Tensor& x, int64_t heads, int64_t first) {
    return sentence(Fault::internal, [&] { attention_pool(tape, "pool", q, x, heads, first); });
  };
  CHECK(refused(query, kv, 4, 0) == "attention_pool pool: expected (B, N, 2 * 4 * width), found (2, 3, 12)");
  CHECK(refused(query, kv, 2, 3) == "attention_pool pool: no tokens from 3 on in (2, 3, 12)");
  CHECK(refused(kv, kv, 2, 0) == "attention_pool pool: query (2, 3, 12) does not fit keys and values (2, 3, 12)");
}

TEST_CASE("a parameter as a value has its values, and gets the value's gradient") {
  Problem p;
  p.params = {normal({1, 1, 7}, 1)};
  p.op = [](Tape& tape, std::span<const Tensor>, std::span<Param*> params) {
    return value_of(tape, "latent", *params[0]);
  };
  p.reference = [](std::span<const Values>, std::span<const Values> params) { return params[0]; };
  check_gradients(p);
}
