// Contractions: a gradient from what is left of a value is the gradient that the value, pruned by hand, would give.
#include "tape/contract.h"

#include <doctest/doctest.h>

#include <cmath>

#include "backend.h"
#include "gradcheck.h"
#include "scripted_policy.h"

using namespace shear;
using namespace shear::test;

namespace {

// The linear alone is asked; everything else stays dense.
class OnLinear final : public MemoryPolicy {
 public:
  explicit OnLinear(Verdict v) : verdict_(v) {}
  std::string name() const override { return "on linear"; }
  Verdict decide(const SaveRequest& r) override { return r.role == Role::linear_input ? verdict_ : Verdict(Keep{}); }

 private:
  Verdict verdict_;
};

constexpr int64_t batch = 3, tokens = 11, in = 7, out = 5, rows = batch * tokens;

struct Gradients {
  std::vector<float> dx, dw, db;
  std::string got;
};

// Gradients of sum(linear(x) * up) with x asleep as the verdict says.
Gradients gradients(const Verdict& verdict) {
  Device device(test_backend(2));
  OnLinear policy(verdict);
  Tape tape(device, policy);
  Param w = make_param(device, "w", normal({out, in}, 2)), b = make_param(device, "b", normal({out}, 3));
  Tensor x = upload(device, normal({batch, tokens, in}, 1));
  const Tensor up = upload(device, normal({batch, tokens, out}, 4));
  tape.watch(x);
  tape.backward(weighted_sum(tape, linear(tape, "fc", x, w, &b), up));
  return {device.download(tape.grad(x)), device.download(w.grad), device.download(b.grad),
          std::string(tape.report()[0].got)};
}

double relative(const std::vector<float>& a, const std::vector<double>& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    size += b[i] * b[i];
  }
  return std::sqrt(difference / size);
}

// dw = dy^T x in f64, x as it stands in `x`.
std::vector<double> weight_gradient(const Values& x) {
  const Values up = normal({batch, tokens, out}, 4).values;
  std::vector<double> dw(out * in);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t o = 0; o < out; ++o)
      for (int64_t i = 0; i < in; ++i)
        dw[static_cast<size_t>(o * in + i)] +=
            up[static_cast<size_t>(r * out + o)] * x[static_cast<size_t>(r * in + i)];
  return dw;
}

Values input() { return normal({batch, tokens, in}, 1).values; }

const std::vector<int32_t> some_columns{1, 4, 5}, some_rows{0, 3, 11, 30};
const std::vector<float> some_scales{2.f, 1.f, 4.f, 1.5f};

}  // namespace

TEST_CASE("what a linear passes on and its bias are the same bits whatever its input sleeps in") {
  const Gradients full = gradients(Keep{});
  const std::span<const float> scales(some_scales);
  for (const Verdict& v :
       {Verdict(Pack{0.2, Code::f16}), Verdict(Pack{1, Code::u4}), Verdict(TopColumns{0.5}),
        Verdict(SampleColumns{some_columns, scales.first(3), {}}), Verdict(SampleRows{some_rows, scales, {}})}) {
    const Gradients g = gradients(v);
    CAPTURE(g.got);
    CHECK(g.got != "dense");
    CHECK(g.dx == full.dx);
    CHECK(g.db == full.db);
    CHECK(g.dw != full.dw);
  }
}

TEST_CASE("everything kept gives the full gradient") {
  const Gradients full = gradients(Keep{});
  std::vector<int32_t> all(rows);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int32_t>(i);
  const std::vector<float> ones(rows, 1.f);
  const Pack exact{1, Code::f32, false};
  CHECK(gradients(exact).dw == full.dw);
  CHECK(gradients(TopColumns{1, Code::f32}).dw == full.dw);
  CHECK(gradients(SampleColumns{std::span(all).first(in), std::span(ones).first(in), exact}).dw == full.dw);
  CHECK(gradients(SampleRows{all, ones, exact}).dw == full.dw);
  CHECK(relative(gradients(Pack{1, Code::f16, false}).dw, weight_gradient(input())) < 1e-3);
}

TEST_CASE("a pruned input's weight gradient is that of the input pruned by hand") {
  Values x = input();
  const int64_t sample = tokens * in, kept = (sample + 3) / 4;
  for (int64_t first = 0; first < rows * in; first += sample) {
    std::vector<double> magnitudes;
    for (int64_t i = 0; i < sample; ++i) magnitudes.push_back(std::abs(x[static_cast<size_t>(first + i)]));
    std::sort(magnitudes.rbegin(), magnitudes.rend());
    for (int64_t i = 0; i < sample; ++i)
      if (double& v = x[static_cast<size_t>(first + i)]; std::abs(v) < magnitudes[static_cast<size_t>(kept - 1)]) v = 0;
  }
  CHECK(relative(gradients(Pack{0.25, Code::f32, false}).dw, weight_gradient(x)) < 1e-6);
  CHECK(relative(gradients(Pack{0.25, Code::f32, false}).dw, weight_gradient(input())) > 0.1);
}

TEST_CASE("a kept column's gradient is exact times its scale and a dropped column's is zero") {
  const std::vector<double> exact = weight_gradient(input());
  const Gradients g = gradients(SampleColumns{some_columns, std::span(some_scales).first(3), {1, Code::f32, false}});
  for (int64_t o = 0; o < out; ++o)
    for (int64_t i = 0; i < in; ++i) {
      const auto at = static_cast<size_t>(o * in + i);
      const auto kept = std::find(some_columns.begin(), some_columns.end(), i);
      if (kept == some_columns.end())
        CHECK(g.dw[at] == 0.f);
      else
        CHECK(static_cast<double>(g.dw[at]) ==
              doctest::Approx(exact[at] *
                              static_cast<double>(some_scales[static_cast<size_t>(kept - some_columns.begin())]))
                  .epsilon(1e-5));
    }
}

TEST_CASE("kept rows count by their scale and the others not at all") {
  Values x(rows * in, 0.0);
  const Values whole = input();
  for (size_t k = 0; k < some_rows.size(); ++k)
    for (int64_t i = 0; i < in; ++i) {
      const auto at = static_cast<size_t>(some_rows[k] * in + i);
      x[at] = whole[at] * static_cast<double>(some_scales[k]);
    }
  CHECK(relative(gradients(SampleRows{some_rows, some_scales, {1, Code::f32, false}}).dw, weight_gradient(x)) < 1e-6);
}

TEST_CASE("over all draws of columns the expected gradient is the full one, and its square the theory's") {
  const double p[in] = {0.9, 0.3, 0.5, 1.0, 0.2, 0.7, 0.4};
  const std::vector<double> exact = weight_gradient(input());
  std::vector<double> mean(exact.size());
  double square = 0, expected_square = 0;
  for (int draw = 1; draw < 1 << in; ++draw) {
    std::vector<int32_t> index;
    std::vector<float> scales;
    double probability = 1;
    for (int d = 0; d < in; ++d) {
      const bool chosen = (draw >> d & 1) != 0;
      probability *= chosen ? p[d] : 1 - p[d];
      if (chosen) index.push_back(d), scales.push_back(static_cast<float>(1 / p[d]));
    }
    if (probability == 0) continue;
    const Gradients g = gradients(SampleColumns{index, scales, {1, Code::f32, false}});
    for (size_t i = 0; i < mean.size(); ++i) {
      mean[i] += probability * static_cast<double>(g.dw[i]);
      square += probability * std::pow(static_cast<double>(g.dw[i]), 2);
    }
  }
  for (size_t i = 0; i < exact.size(); ++i) {
    CHECK(mean[i] == doctest::Approx(exact[i]).epsilon(1e-5));
    expected_square += exact[i] * exact[i] / p[i % in];
  }
  CHECK(square == doctest::Approx(expected_square).epsilon(1e-5));
}

TEST_CASE("a norm and a GELU open what sleeps in a short code, and their outputs can be made from it") {
  Device device(test_backend(2));
  class Short final : public MemoryPolicy {
   public:
    std::string name() const override { return "short"; }
    Verdict decide(const SaveRequest& r) override {
      if (r.recipe != SaveRequest::Recipe::none) return Recompute{false};
      return Pack{1, code, false};
    }
    Code code = Code::f32;
  } policy;
  const auto run = [&](Code code) {
    policy.code = code;
    Tape tape(device, policy);
    Param g = make_param(device, "g", normal({24}, 1, 0.2, 1)), b = make_param(device, "b", normal({24}, 2)),
          w = make_param(device, "w", normal({16, 24}, 3, 0.3)), v = make_param(device, "v", normal({9, 16}, 4, 0.3));
    Tensor x = upload(device, normal({2, 21, 24}, 5));
    const Tensor up = upload(device, normal({2, 21, 9}, 6));
    tape.watch(x);
    Tensor h = layernorm(tape, "norm", x, g, b, 1e-6f);
    h = gelu(tape, "act", linear(tape, "fc1", h, w, nullptr));
    tape.backward(weighted_sum(tape, linear(tape, "fc2", h, v, nullptr), up));
    CHECK(tape.report()[3].got == "recomputed");
    std::vector<float> all = device.download(tape.grad(x));
    for (const Param* p : {&g, &b, &w, &v}) {
      const auto values = device.download(p->grad);
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  };
  const auto exact = run(Code::f32);
  const auto near = [&](Code code) { return relative(run(code), {exact.begin(), exact.end()}); };
  CHECK(near(Code::f16) < 1e-3);
  CHECK(near(Code::u8) < 2e-2);
  CHECK(near(Code::u8) > near(Code::f16));
}
