// Gradients of norms, GELU and linears from what is left of their inputs, pruned by hand; and what averages out.
#include <doctest/doctest.h>

#include "backend.h"
#include "by_hand.h"
#include "scripted_policy.h"
#include "shear/policies.h"

using namespace shear;
using namespace shear::test;

namespace {

// Three bands of rows (see band_rows), and in two groups of images two bands each.
constexpr int64_t batch = 263, tokens = 11, in = 37, out = 5, rows = batch * tokens;

size_t at(int64_t r, int64_t c, int64_t cols) { return static_cast<size_t>(r * cols + c); }

// dw = dy^T x
Values weight_gradient(const Values& x, const Values& dy) {
  Values dw(out * in);
  for (int64_t r = 0; r < static_cast<int64_t>(dy.size()) / out; ++r)
    for (int64_t o = 0; o < out; ++o)
      for (int64_t i = 0; i < in; ++i) dw[at(o, i, in)] += dy[at(r, o, out)] * x[at(r, i, in)];
  return dw;
}

const Operand x_operand = short_normal({batch, tokens, in}, 1), dy_operand = normal({batch, tokens, out}, 4);

// The weight gradient of a linear in a block, one per step; a second weight of the same shape stands beside it.
class LinearRun {
 public:
  explicit LinearRun(MemoryPolicy& policy, const Operand& x = x_operand, const Operand& dy = dy_operand)
      : tape_(device_, policy, {&w_, &other_}, {.seed = 9}), x_(upload(device_, x)), dy_(upload(device_, dy)) {}
  std::vector<float> step(int64_t step) {
    tape_.begin_step(step);
    const Tape::InBlock block(tape_, 0);
    tape_.backward(weighted_sum(tape_, linear(tape_, "blocks.0.mlp.fc1", x_, w_, nullptr), dy_));
    tape_.reset();
    return device_.download(w_.grad);
  }

 private:
  Device device_{test_backend(2)};
  Param w_ = make_param(device_, "blocks.0.mlp.fc1.weight", normal({out, in}, 2)),
        other_ = make_param(device_, "blocks.1.mlp.fc1.weight", normal({out, in}, 3));
  Tape tape_;
  Tensor x_, dy_;
};

std::vector<float> weight_gradient_under(const Verdict& verdict) {
  Scripted policy(verdict);
  return LinearRun(policy).step(0);
}

// The gradient at x of an op in a block, whose saved values a policy answers for.
using OneInput = Tensor (*)(Tape&, const Tensor&);
std::vector<float> input_gradient(MemoryPolicy& policy, const Operand& x, const Operand& dy, OneInput op) {
  Device device(test_backend(2));
  Tape tape(device, policy);
  Tensor in_x = upload(device, x);
  const Tensor up = upload(device, dy);
  tape.watch(in_x);
  const Tape::InBlock block(tape, 0);
  tape.backward(weighted_sum(tape, op(tape, in_x), up));
  return device.download(tape.grad(in_x));
}

constexpr int64_t images = 11, pool_heads = 2, pool_width = 16;  // more images than are awake at once
Tensor gated(Tape& tape, const Tensor& x) { return swiglu(tape, "blocks.0.mlp.act", x); }
Tensor pooled(Tape& tape, const Tensor& x) {
  static const Operand query = normal({pool_width}, 7);
  return attention_pool(tape, "blocks.0.pool", upload(tape.device(), query), x, pool_heads, 1);
}

}  // namespace

TEST_CASE("the gradients of SwiGLU and of a pool by attention are the dense ones at an input whose halves are pruned") {
  struct Op {
    OneInput run;
    int64_t half;
    Shape dy;
  };
  for (const Op& op : {Op{gated, in, {images, tokens, in}}, Op{pooled, pool_width, {images, pool_width}}}) {
    CAPTURE(op.half);
    const Operand x = short_normal({images, tokens, 2 * op.half}, 1), dy = normal(op.dy, 2);
    Operand left = x;
    left.values = pruned(x.values, 0.2, images, tokens, op.half, 2);
    Scripted dense(Keep{}), cut(Pack{0.2});
    const auto found = input_gradient(cut, x, dy, op.run);
    CHECK(found == input_gradient(dense, left, dy, op.run));
    CHECK(found != input_gradient(dense, x, dy, op.run));
  }
}

TEST_CASE("RMSNorm's gradients at a pruned input are the formulas there with the exact root mean square") {
  const int64_t cols = 21;
  const Operand x = short_normal({batch, tokens, cols}, 1), dy = normal({batch, tokens, cols}, 2),
                gamma = normal({cols}, 3, 0.3, 1);
  Device device(test_backend(2));
  Scripted policy(Pack{0.2});
  Tape tape(device, policy);
  Param g = make_param(device, "blocks.0.norm1.weight", gamma);
  Tensor in_x = upload(device, x);
  const Tensor up = upload(device, dy);
  tape.watch(in_x);
  const Tape::InBlock block(tape, 0);
  tape.backward(weighted_sum(tape, rmsnorm(tape, "blocks.0.norm1", in_x, g, 1e-6f), up));

  const Values left = pruned(x.values, 0.2, batch, tokens, cols);
  Values dx(left.size()), dgamma(static_cast<size_t>(cols)), exact = dgamma;
  const double n = static_cast<double>(cols);
  for (int64_t r = 0; r < rows; ++r) {
    double square = 0, of_gh = 0;
    for (int64_t c = 0; c < cols; ++c) square += std::pow(x.values[at(r, c, cols)], 2) / n;
    const double rstd = 1 / std::sqrt(square + 1e-6);
    const auto scaled = [&](int64_t c) { return gamma.values[static_cast<size_t>(c)] * dy.values[at(r, c, cols)]; };
    for (int64_t c = 0; c < cols; ++c) {
      of_gh += scaled(c) * left[at(r, c, cols)] * rstd / n;
      dgamma[static_cast<size_t>(c)] += dy.values[at(r, c, cols)] * left[at(r, c, cols)] * rstd;
      exact[static_cast<size_t>(c)] += dy.values[at(r, c, cols)] * x.values[at(r, c, cols)] * rstd;
    }
    for (int64_t c = 0; c < cols; ++c) dx[at(r, c, cols)] = rstd * (scaled(c) - left[at(r, c, cols)] * rstd * of_gh);
  }
  CHECK(relative_error(device.download(tape.grad(in_x)), dx) < 2e-6);
  CHECK(relative_error(device.download(g.grad), dgamma) < 2e-6);
  CHECK(relative_error(device.download(g.grad), exact) > 0.05);
}

TEST_CASE("under backrazor a norm's gradients are the formulas at the pruned input with the exact mean and deviation") {
  const int64_t cols = 21;
  const Operand x = normal({batch, tokens, cols}, 1, 1, 0.3), dy = normal({batch, tokens, cols}, 2),
                gamma = normal({cols}, 3, 0.3, 1), beta = normal({cols}, 4);
  Device device(test_backend(2));
  const auto policy = make_policy("backrazor");
  Tape tape(device, *policy);
  Param g = make_param(device, "blocks.0.norm1.weight", gamma), b = make_param(device, "blocks.0.norm1.bias", beta);
  Tensor in_x = upload(device, x);
  const Tensor up = upload(device, dy);
  tape.watch(in_x);
  const Tape::InBlock block(tape, 0);
  tape.backward(weighted_sum(tape, layernorm(tape, "blocks.0.norm1", in_x, g, b, 1e-6f), up));

  const Values left = pruned(x.values, 0.2, batch, tokens, cols);
  Values dx(left.size()), dgamma(static_cast<size_t>(cols)), dbeta(static_cast<size_t>(cols)), exact = dgamma;
  const double n = static_cast<double>(cols);
  for (int64_t r = 0; r < rows; ++r) {
    double mean = 0, variance = 0, of_g = 0, of_gh = 0;
    for (int64_t c = 0; c < cols; ++c) mean += x.values[at(r, c, cols)] / n;
    for (int64_t c = 0; c < cols; ++c) variance += std::pow(x.values[at(r, c, cols)] - mean, 2) / n;
    const double rstd = 1 / std::sqrt(variance + 1e-6);
    const auto hat = [&](int64_t c) {
      return (left[at(r, c, cols)] - mean) * rstd;
    };  // of what is pruned: -mean * rstd
    const auto scaled = [&](int64_t c) { return gamma.values[static_cast<size_t>(c)] * dy.values[at(r, c, cols)]; };
    for (int64_t c = 0; c < cols; ++c) {
      of_g += scaled(c) / n;
      of_gh += scaled(c) * hat(c) / n;
      dgamma[static_cast<size_t>(c)] += dy.values[at(r, c, cols)] * hat(c);
      exact[static_cast<size_t>(c)] += dy.values[at(r, c, cols)] * (x.values[at(r, c, cols)] - mean) * rstd;
      dbeta[static_cast<size_t>(c)] += dy.values[at(r, c, cols)];
    }
    for (int64_t c = 0; c < cols; ++c) dx[at(r, c, cols)] = rstd * (scaled(c) - of_g - hat(c) * of_gh);
  }
  CHECK(relative_error(device.download(tape.grad(in_x)), dx) < 2e-6);
  CHECK(relative_error(device.download(g.grad), dgamma) < 2e-6);
  CHECK(relative_error(device.download(b.grad), dbeta) < 2e-6);
  CHECK(relative_error(device.download(g.grad), exact) > 0.05);
}

TEST_CASE("GELU's gradient under a packed slope is the slope, rounded to its code by hand, times what arrives") {
  struct Grid {
    Code code;
    double offset, scale, top;
  };
  const Operand x = normal({batch, tokens, in}, 1, 1.5), dy = normal({batch, tokens, in}, 2);
  const auto slope = [](GeluForm form, double v) {
    const double h = 1e-5;
    const auto f = [&](double u) {
      if (form == GeluForm::quick) return u / (1 + std::exp(-1.702 * u));
      return form == GeluForm::exact ? u / 2 * (1 + std::erf(u / std::sqrt(2.)))
                                     : u / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (u + 0.044715 * u * u * u)));
    };
    return (f(v + h) - f(v - h)) / (2 * h);
  };
  for (const GeluForm form : {GeluForm::exact, GeluForm::tanh, GeluForm::quick})
    for (const Grid& grid :
         {Grid{Code::u8, -0.13, 0.005, 255}, Grid{Code::u4, -2. / 12, 1. / 12, 15}, Grid{Code::u3, -1. / 6, 1. / 6, 7},
          Grid{Code::u2, -0.06, 0.33, 3}, Grid{Code::f16, 0, 0, 0}}) {
      CAPTURE(bits_of(grid.code));
      Device device(test_backend(2));
      Scripted policy(PackSlope{grid.code});
      Tape tape(device, policy);
      Tensor in_x = upload(device, x);
      tape.watch(in_x);
      const Tensor up = upload(device, dy);
      tape.backward(weighted_sum(tape, gelu(tape, "act", in_x, form), up));
      CHECK(tape.report()[0].got == "slopes");
      const std::vector<float> found = device.download(tape.grad(in_x));
      int undecided = 0;
      double worst = 0;
      for (size_t i = 0; i < found.size(); ++i) {
        const double s = slope(form, x.values[i]);
        const auto rounded = [&](double v) {
          if (grid.code == Code::f16) return half(v);
          return grid.offset + grid.scale * std::clamp(std::floor((v - grid.offset) / grid.scale + 0.5), 0., grid.top);
        };
        if (rounded(s - 1e-6) != rounded(s + 1e-6)) {  // f32 and f64 may round to neighbours
          ++undecided;
          continue;
        }
        const double left = rounded(s);
        const double got = static_cast<double>(found[i]) / dy.values[i];
        worst = std::max(worst, std::fabs(got - left));
      }
      CHECK(worst < 3e-7);
      CHECK(undecided < static_cast<int>(found.size() / 20));
    }
}

TEST_CASE("a linear's weight gradient from columns that each group of images draws, with a mask inside, is by hand") {
  // Two groups of images, the second one image smaller.  A scale of 0 fills up.
  constexpr int64_t chosen = 6;
  const std::vector<int32_t> index{0, 3, 4, 11, 30, 36, 1, 3, 17, 18, 36, 36};
  const std::vector<float> scale{2.f, 1.f, 4.f, 1.5f, 3.f, 1.25f, 5.f, 2.f, 1.f, 2.5f, 1.5f, 0.f};
  for (const double keep : {1., 0.4}) {
    CAPTURE(keep);
    Values cut(rows * chosen);
    const auto group = [](int64_t r) { return r / tokens < (batch + 1) / 2 ? 0 : chosen; };
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t k = 0; k < chosen; ++k)
        cut[at(r, k, chosen)] = x_operand.values[at(r, index[static_cast<size_t>(group(r) + k)], in)];
    cut = pruned(cut, keep, batch, tokens, chosen);
    Values left(rows * in);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t k = 0; k < chosen; ++k) {
        const auto i = static_cast<size_t>(group(r) + k);
        left[at(r, index[i], in)] += static_cast<double>(scale[i]) * cut[at(r, k, chosen)];
      }
    const Verdict verdict = SampleColumns{index, scale, {.keep = keep, .code = Code::f16}, 2};
    CHECK(relative_error(weight_gradient_under(verdict), weight_gradient(left, dy_operand.values)) < 1e-6);
  }
}

TEST_CASE("a linear's weight gradient from rows that are drawn is by hand, and so is the one from a masked input") {
  std::vector<int32_t> index;
  std::vector<float> scale;
  for (int32_t r = 0; r < rows; r += 1 + r % 3) {
    index.push_back(r);
    scale.push_back(1 + 0.25f * static_cast<float>(r % 7));
  }
  REQUIRE(index.size() > 1300);
  Values left(rows * in);
  for (size_t k = 0; k < index.size(); ++k)
    for (int64_t c = 0; c < in; ++c)
      left[at(index[k], c, in)] = static_cast<double>(scale[k]) * x_operand.values[at(index[k], c, in)];
  CHECK(relative_error(weight_gradient_under(SampleRows{index, scale, {}}), weight_gradient(left, dy_operand.values)) <
        1e-6);
  left = pruned(x_operand.values, 0.2, batch, tokens, in);
  CHECK(relative_error(weight_gradient_under(Pack{0.2}), weight_gradient(left, dy_operand.values)) < 1e-6);
}

TEST_CASE("sampling's error averages out as one over the root of the draws, and that of the largest does not at all") {
  const Operand x = short_normal({3, tokens, in}, 1), dy = normal({3, tokens, out}, 4);
  const Values exact = weight_gradient(x.values, dy.values);
  constexpr size_t draws = 256;
  // The root mean square error of means over n draws each.
  const auto errors = [&](const std::string& spec) {
    const auto policy = make_policy(spec, 4);
    LinearRun run(*policy, x, dy);
    std::vector<std::vector<float>> found;
    for (size_t i = 0; i < draws; ++i) found.push_back(run.step(static_cast<int64_t>(i)));
    std::array<double, 3> rms{};
    for (size_t k = 0; k < rms.size(); ++k) {
      const size_t n = std::array<size_t, 3>{1, 4, 16}[k];
      for (size_t first = 0; first < draws; first += n) {
        Values mean(exact.size());
        for (size_t i = first; i < first + n; ++i)
          for (size_t e = 0; e < mean.size(); ++e) mean[e] += static_cast<double>(found[i][e]) / static_cast<double>(n);
        const double error = relative_error({mean.begin(), mean.end()}, exact);
        rms[k] += error * error * static_cast<double>(n) / static_cast<double>(draws);
      }
      rms[k] = std::sqrt(rms[k]);
    }
    return rms;
  };
  for (const std::string spec :
       {"prebr:prune=0.5,sample=0.5,learn=0,period=1", "prebr:prune=0.5,sample=0.5,learn=0,period=1,draw=bernoulli",
        "prebr:prune=0.7,sample=0.3,learn=0,period=1,groups=2",
        "prebr++:prune=0.5,sample=0.5,learn=0,period=1,granularity=tensor", "tokens:bits=8", "tokens:bits=4,keep=0.3",
        "tokens:bits=4,keep=1", "codes:bits=2", "codes:bits=2,group=0", "codes:group=32"}) {
    CAPTURE(spec);
    const auto rms = errors(spec);
    CAPTURE(rms[0]);
    CHECK(rms[0] > 0.02);
    CHECK(rms[0] / rms[1] == doctest::Approx(2).epsilon(0.25));
    CHECK(rms[0] / rms[2] == doctest::Approx(4).epsilon(0.35));
  }
  for (const char* spec : {"backrazor", "prebr-"}) {
    CAPTURE(std::string(spec));
    const auto rms = errors(spec);
    CHECK(rms[0] > 0.2);
    CHECK(rms[2] == doctest::Approx(rms[0]).epsilon(1e-6));
  }
}
