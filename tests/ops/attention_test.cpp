// Tiled attention against the plain one with its whole N x N matrix.
#include "shear/ops.h"

#include <doctest/doctest.h>

#include <cmath>

#include "backend.h"
#include "errors.h"
#include "gradcheck.h"
#include "shear/policies.h"

using namespace shear;
using namespace shear::test;

namespace {

// Where the bias of a query and a key stands in the table, as timm's gen_relative_position_index has it.
int64_t distance(const HeadGrid& g, int64_t query, int64_t key) {
  if (query == 0 || key == 0) return g.distances() - (query > 0 ? 2 : key > 0 ? 3 : 1);
  const int64_t rows = (query - 1) / g.across - (key - 1) / g.across,
                columns = (query - 1) % g.across - (key - 1) % g.across;
  return (rows + g.down() - 1) * (2 * g.across - 1) + columns + g.across - 1;
}

// qkv (B, N, 3, H, W) -> (B, N, H, W)
Values reference_attention(const HeadGrid& g, const Values& qkv, const Values& table = {}) {
  const auto at = [&](int64_t b, int64_t n, int64_t part, int64_t h, int64_t w) {
    return qkv[static_cast<size_t>((((b * g.tokens + n) * 3 + part) * g.heads + h) * g.width + w)];
  };
  Values context(static_cast<size_t>(g.batch * g.tokens * g.model()));
  Values p(static_cast<size_t>(g.tokens));
  for (int64_t b = 0; b < g.batch; ++b)
    for (int64_t h = 0; h < g.heads; ++h)
      for (int64_t i = 0; i < g.tokens; ++i) {
        double max = -1e300, sum = 0;
        for (int64_t j = 0; j < g.tokens; ++j) {
          double dot = 0;
          for (int64_t w = 0; w < g.width; ++w) dot += at(b, i, 0, h, w) * at(b, j, 1, h, w);
          double& score = p[static_cast<size_t>(j)];
          score = dot / std::sqrt(static_cast<double>(g.width));
          if (!table.empty()) score += table[static_cast<size_t>(distance(g, i, j) * g.heads + h)];
          max = std::max(max, p[static_cast<size_t>(j)]);
        }
        for (double& v : p) sum += v = std::exp(v - max);
        for (int64_t w = 0; w < g.width; ++w) {
          double out = 0;
          for (int64_t j = 0; j < g.tokens; ++j) out += p[static_cast<size_t>(j)] / sum * at(b, j, 2, h, w);
          context[static_cast<size_t>(((b * g.tokens + i) * g.heads + h) * g.width + w)] = out;
        }
      }
  return context;
}

Shape packed(const HeadGrid& g) { return {g.batch, g.tokens, 3 * g.model()}; }

Problem problem(const HeadGrid& g) {
  Problem p;
  p.inputs = {normal(packed(g), 1)};
  p.op = [g](Tape& tape, std::span<const Tensor> x, std::span<Param*>) {
    return attention(tape, "attn", x[0], g.heads);
  };
  p.reference = [g](std::span<const Values> x, std::span<const Values>) { return reference_attention(g, x[0]); };
  return p;
}

// With relative positions.
Problem relative_problem(const HeadGrid& g) {
  Problem p = problem(g);
  p.params = {normal({g.distances(), g.heads}, 2)};
  p.op = [g](Tape& tape, std::span<const Tensor> x, std::span<Param*> params) {
    return attention(tape, "attn", x[0], g.heads, {params[0], g.across});
  };
  p.reference = [g](std::span<const Values> x, std::span<const Values> params) {
    return reference_attention(g, x[0], params[0]);
  };
  return p;
}

}  // namespace

TEST_CASE("attention agrees with the reference in values and gradients, from one token to several tiles") {
  // batch, tokens, heads, width of a head; a tile of queries is 64
  for (const HeadGrid& g :
       {HeadGrid{1, 1, 1, 1}, HeadGrid{3, 1, 2, 5}, HeadGrid{2, 5, 3, 7}, HeadGrid{2, 33, 2, 8}, HeadGrid{1, 64, 1, 3},
        HeadGrid{1, 65, 2, 5}, HeadGrid{1, 130, 1, 31}, HeadGrid{1, 197, 3, 5}, HeadGrid{1, 197, 1, 33}}) {
    CAPTURE(g.batch);
    CAPTURE(g.tokens);
    CAPTURE(g.heads);
    CAPTURE(g.width);
    check_gradients(problem(g));
  }
}

TEST_CASE("attention with relative positions agrees with the reference, and so does the gradient of their table") {
  // batch, tokens, heads, width of a head, patches side by side
  for (const HeadGrid& g : {HeadGrid{1, 2, 1, 1, 1}, HeadGrid{3, 4, 2, 5, 3}, HeadGrid{2, 4, 3, 3, 1},
                            HeadGrid{9, 7, 2, 4, 2}, HeadGrid{2, 36, 2, 8, 7}, HeadGrid{1, 82, 1, 33, 9}}) {
    CAPTURE(g.batch);
    CAPTURE(g.tokens);
    CAPTURE(g.across);
    check_gradients(relative_problem(g));
  }
}

TEST_CASE("of queries, keys and values and their relative positions each may be frozen") {
  const HeadGrid g{2, 7, 2, 4, 3};
  Problem p = relative_problem(g);
  p.inputs[0] = frozen(p.inputs[0]);
  check_gradients(p);
  p = relative_problem(g);
  p.params[0] = frozen(p.params[0]);
  check_gradients(p);
}

TEST_CASE("relative positions that are all the same change nothing, and nothing is saved for any") {
  const HeadGrid g{2, 10, 2, 5, 3};
  Device device(test_backend(2));
  const auto policy = make_policy("full");
  const Operand same{{g.distances(), g.heads}, Values(static_cast<size_t>(g.distances() * g.heads), 3.)};
  Param table = make_param(device, "table", same);
  Tape tape(device, *policy, {&table});
  tape.begin_step(0);
  Tensor x = upload(device, normal(packed(g), 1));
  tape.watch(x);
  const std::vector<float> plain = device.download(attention(tape, "attn", x, g.heads)),
                           found = device.download(attention(tape, "attn", x, g.heads, {&table, g.across}));
  for (size_t i = 0; i < plain.size(); ++i) CHECK(found[i] == doctest::Approx(plain[i]).epsilon(1e-5));
  REQUIRE(tape.report().size() == 4);
  CHECK(tape.report()[2].got == "shared");
  CHECK(tape.report()[3].dense_bytes == tape.report()[1].dense_bytes);
}

TEST_CASE("attention with queries of zero is the mean of the values") {
  const HeadGrid g{1, 31, 1, 5};
  Operand qkv = normal(packed(g), 1);
  for (size_t i = 0; i < qkv.values.size(); ++i)
    if (i % 15 < 5) qkv.values[i] = 0;
  Device device(test_backend(1));
  Tape tape(device);
  const std::vector<float> context = device.download(attention(tape, "attn", upload(device, qkv), 1));
  for (size_t w = 0; w < 5; ++w) {
    double mean = 0;
    for (size_t n = 0; n < 31; ++n) mean += qkv.values[n * 15 + 10 + w] / 31;
    for (size_t n = 0; n < 31; ++n)
      CHECK(static_cast<double>(context[n * 5 + w]) == doctest::Approx(mean).epsilon(1e-5));
  }
}

TEST_CASE("attention whose scores lie far from zero gives no nan, in values or gradients") {
  // A common offset in all keys shifts the scores of a query by one number, which the softmax does not see.
  const HeadGrid g{1, 70, 2, 9};
  for (const double offset : {300.0, -300.0, 1e15}) {
    CAPTURE(offset);
    Operand qkv = normal(packed(g), 1);
    for (size_t i = 0; i < qkv.values.size(); ++i)
      if (const size_t part = i / 18 % 3; part == 1)
        qkv.values[i] = static_cast<double>(static_cast<float>(qkv.values[i] + offset));
    Device device(test_backend(2));
    const auto policy = make_policy("full");
    Tape tape(device, *policy);
    Tensor x = upload(device, qkv);
    tape.watch(x);
    const Tensor y = attention(tape, "attn", x, g.heads), dy = upload(device, normal(y.shape(), 2));
    const std::vector<float> values = device.download(y);
    const Values expected = reference_attention(g, qkv.values);
    double worst = 0;
    bool finite = true;
    for (size_t i = 0; i < values.size(); ++i) {
      worst = std::max(worst, std::fabs(static_cast<double>(values[i]) - expected[i]));
      finite = finite && std::isfinite(values[i]);
    }
    CHECK(finite);
    if (std::fabs(offset) < 1e3) CHECK(worst < 5e-3);  // scores near 1000 are known to 1e-4 in f32
    tape.backward(weighted_sum(tape, y, dy));
    for (const float v : device.download(tape.grad(x))) finite = finite && std::isfinite(v);
    CHECK(finite);
  }
}

TEST_CASE("attention whose scores are extreme picks one token") {
  const HeadGrid g{1, 5, 1, 1};
  Device device(test_backend(1));
  Tape tape(device);
  std::vector<float> qkv;
  for (int n = 0; n < 5; ++n) qkv.insert(qkv.end(), {1e4f, n == 3 ? 1e4f : -1e4f, static_cast<float>(n)});
  for (const float v : device.download(attention(tape, "attn", device.upload(packed(g), Category::workspace, qkv), 1)))
    CHECK(v == 3);
}

TEST_CASE("attention saves qkv, holds the log-sum-exp, and its scratch grows with N and not with N x N") {
  Device device(test_backend(1));
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  const HeadGrid g{2, 5, 3, 7};
  Tensor x = upload(device, normal(packed(g), 1));
  tape.watch(x);
  const Tensor y = attention(tape, "attn", x, g.heads);
  REQUIRE(tape.report().size() == 2);
  CHECK(tape.report()[0].got == "dense");
  CHECK(tape.report()[0].dense_bytes == 2 * 5 * 3 * 21 * 4);
  CHECK(tape.report()[1].got == "held");
  CHECK(tape.report()[1].dense_bytes == 2 * 3 * 5 * 4);
  CHECK(device.meter().live(Category::saved) == aligned(2 * 5 * 3 * 21 * 4) + aligned(2 * 3 * 5 * 4));
  const auto scratch = [&](int64_t n) { return device.run().attention_scratch({1, n, 1, 64}); };
  CHECK(scratch(4096) == 2 * scratch(2048));
  CHECK(scratch(4096) < 4096 * 4096 / 8);
}

TEST_CASE("attention refuses a width that its heads do not divide, with its site and the shape") {
  Device device(test_backend(1));
  Tape tape(device);
  const Tensor x = upload(device, normal({1, 5, 24}, 1)), flat = upload(device, normal({5, 24}, 1));
  CHECK(sentence(Fault::internal, [&] { attention(tape, "blocks.0.attn", x, 3); }) ==
        "attention blocks.0.attn: expected (B, N, 3 * 3 * width), found (1, 5, 24)");
  CHECK(sentence(Fault::internal, [&] { attention(tape, "blocks.0.attn", flat, 2); }) ==
        "attention blocks.0.attn: expected (B, N, 3 * 2 * width), found (5, 24)");
  CHECK(sentence(Fault::internal, [&] { attention(tape, "attn", x, 0); }).find("attention attn:") == 0);
  const Operand six = normal({6, 2}, 1);
  Param table = make_param(device, "table", six);
  const auto refused = [&](int64_t across) {
    return sentence(Fault::internal, [&] { attention(tape, "attn", x, 2, {&table, across}); });
  };
  CHECK(refused(0) == "attention attn: 5 tokens are not a class token and rows of 0 patches");
  CHECK(refused(3) == "attention attn: 5 tokens are not a class token and rows of 3 patches");
  CHECK(refused(2) == "attention attn: relative positions (6, 2), expected (12, 2)");
}
