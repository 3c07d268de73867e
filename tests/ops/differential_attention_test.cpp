// Differential attention against its definition with two whole N x N matrices, its weight, and scaled values.
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

// qkv (B, N, 3, H, W), whose queries and keys are of 2 H heads of half the width -> (B, N, H, W)
Values reference_context(const HeadGrid& g, const Values& qkv, double weight) {
  const int64_t half = g.width / 2;
  const auto at = [&](int64_t b, int64_t n, int64_t part, int64_t c) {
    return qkv[static_cast<size_t>(((b * g.tokens + n) * 3 + part) * g.model() + c)];
  };
  Values context(static_cast<size_t>(g.batch * g.tokens * g.model()));
  Values p(static_cast<size_t>(g.tokens));
  for (int64_t b = 0; b < g.batch; ++b)
    for (int64_t h = 0; h < 2 * g.heads; ++h)
      for (int64_t i = 0; i < g.tokens; ++i) {
        double sum = 0;
        for (int64_t j = 0; j < g.tokens; ++j) {
          double dot = 0;
          for (int64_t w = h * half; w < (h + 1) * half; ++w) dot += at(b, i, 0, w) * at(b, j, 1, w);
          sum += p[static_cast<size_t>(j)] = std::exp(dot / std::sqrt(static_cast<double>(half)));
        }
        for (int64_t w = 0; w < g.width; ++w) {
          const int64_t c = h / 2 * g.width + w;
          double out = 0;
          for (int64_t j = 0; j < g.tokens; ++j) out += p[static_cast<size_t>(j)] / sum * at(b, j, 2, c);
          context[static_cast<size_t>((b * g.tokens + i) * g.model() + c)] += h % 2 == 0 ? out : -weight * out;
        }
      }
  return context;
}

Problem problem(const HeadGrid& g) {
  Problem p;
  p.inputs = {normal({g.batch, g.tokens, 3 * g.model()}, 1), normal({1}, 2)};
  p.op = [g](Tape& tape, std::span<const Tensor> x, std::span<Param*>) {
    return differential_attention(tape, "attn", x[0], g.heads, x[1]);
  };
  p.reference = [g](std::span<const Values> x, std::span<const Values>) { return reference_context(g, x[0], x[1][0]); };
  return p;
}

}  // namespace

TEST_CASE(
    "differential attention agrees with the reference in values and gradients, of more images than wake at once") {
  for (const HeadGrid& g : {HeadGrid{1, 1, 1, 2}, HeadGrid{3, 1, 2, 6}, HeadGrid{2, 5, 3, 8}, HeadGrid{9, 7, 2, 4},
                            HeadGrid{1, 65, 2, 6}, HeadGrid{17, 33, 1, 2}}) {
    CAPTURE(g.batch);
    CAPTURE(g.tokens);
    CAPTURE(g.heads);
    CAPTURE(g.width);
    Problem p = problem(g);
    check_gradients(p);
    for (Operand& input : p.inputs) {
      const Operand before = std::exchange(input, frozen(input));
      check_gradients(p);
      input = before;
    }
  }
}

TEST_CASE("its weight and the gradients of the four vectors are the reference's") {
  for (const int64_t width : {1, 3, 32}) {
    Problem p;
    for (uint32_t i = 1; i < 5; ++i) p.params.push_back(normal({width}, i, 0.4));
    p.op = [](Tape& tape, std::span<const Tensor>, std::span<Param*> v) {
      return differential_weight(tape, "lambda", *v[0], *v[1], *v[2], *v[3], 0.35f);
    };
    p.reference = [](std::span<const Values>, std::span<const Values> v) {
      const auto power = [&](size_t i) {
        double dot = 0;
        for (size_t c = 0; c < v[i].size(); ++c) dot += v[i][c] * v[i + 1][c];
        return std::exp(dot);
      };
      return Values{power(0) - power(2) + static_cast<double>(0.35f)};
    };
    check_gradients(p);
    for (const size_t alone : {size_t{0}, size_t{3}}) {
      Problem some = p;
      for (size_t i = 0; i < 4; ++i)
        if (i != alone) some.params[i] = frozen(some.params[i]);
      check_gradients(some);
    }
  }
}

TEST_CASE("scaled values and their gradients are the reference's") {
  for (const Shape& s : {Shape{1, 1}, Shape{3, 31}, Shape{2, 3, 8}, Shape{197, 34}}) {
    Problem p;
    p.inputs = {normal(s, 1)};
    p.op = [](Tape& tape, std::span<const Tensor> x, std::span<Param*>) { return scaled(tape, "scale", x[0], -0.3f); };
    p.reference = [](std::span<const Values> x, std::span<const Values>) {
      Values y = x[0];
      for (double& v : y) v *= static_cast<double>(-0.3f);
      return y;
    };
    check_gradients(p);
  }
}

TEST_CASE("differential attention saves qkv once, holds two log-sum-exps, and the whole probabilities where asked") {
  const HeadGrid g{2, 5, 3, 8};
  const auto saved = [&](const char* name) {
    Device device(test_backend(1));
    const auto policy = make_policy(name);
    Tape tape(device, *policy);
    Tensor x = upload(device, normal({g.batch, g.tokens, 3 * g.model()}, 1)), w = upload(device, normal({1}, 2));
    tape.watch(x);
    tape.begin_step(0);
    const Tape::InBlock block(tape, 0);
    const Tensor y = differential_attention(tape, "blocks.0.attn", x, g.heads, w);
    std::string rows;
    for (const SaveRow& row : tape.report())
      rows += text(row.op, ' ', row.got == "held" ? "held" : "saved", ' ', row.dense_bytes, '\n');
    return rows;
  };
  CHECK(saved("full") ==
        "differential_attention saved 2880\ndifferential_attention held 4\n"
        "differential_attention held 120\ndifferential_attention held 120\n");
  CHECK(saved("backrazor").find("softmax saved 600\nsoftmax saved 600\n") != std::string::npos);
}

TEST_CASE("differential attention refuses heads that have no halves, and a weight that is no number") {
  Device device(test_backend(1));
  Tape tape(device);
  const Tensor x = upload(device, normal({1, 5, 27}, 1)), even = upload(device, normal({1, 5, 36}, 1)),
               one = upload(device, normal({1}, 2)), two = upload(device, normal({2}, 2));
  CHECK(sentence(Fault::internal, [&] { differential_attention(tape, "attn", x, 3, one); }) ==
        "differential_attention attn: expected (B, N, 3 * 3 * an even width), found (1, 5, 27)");
  CHECK(sentence(Fault::internal, [&] { differential_attention(tape, "attn", even, 3, two); }) ==
        "differential_attention attn: weight (2), expected one number");
}
