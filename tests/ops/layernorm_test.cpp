// y = (x - mean) / sqrt(var + epsilon) * gamma + beta: values, gradients, what is saved, and what is refused.
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

constexpr float epsilon = 1e-6f;

Values reference_layernorm(const Values& x, const Values& gamma, const Values& beta, double eps) {
  const size_t n = gamma.size();
  Values y(x.size());
  for (size_t first = 0; first < x.size(); first += n) {
    double mean = 0, var = 0;
    for (size_t i = 0; i < n; ++i) mean += x[first + i] / static_cast<double>(n);
    for (size_t i = 0; i < n; ++i) var += (x[first + i] - mean) * (x[first + i] - mean) / static_cast<double>(n);
    for (size_t i = 0; i < n; ++i) y[first + i] = (x[first + i] - mean) / std::sqrt(var + eps) * gamma[i] + beta[i];
  }
  return y;
}

Problem problem(Operand x) {
  const int64_t n = x.shape.cols();
  Problem p;
  p.inputs = {std::move(x)};
  p.params = {normal({n}, 2, 0.3, 1), normal({n}, 3)};
  p.op = [](Tape& tape, std::span<const Tensor> inputs, std::span<Param*> params) {
    return layernorm(tape, "norm", inputs[0], *params[0], *params[1], epsilon);
  };
  p.reference = [](std::span<const Values> inputs, std::span<const Values> params) {
    return reference_layernorm(inputs[0], params[0], params[1], static_cast<double>(epsilon));
  };
  return p;
}

}  // namespace

TEST_CASE("layer normalisation's values and gradients agree with the reference for sizes with tails") {
  for (const Shape& x : {Shape{1, 3}, Shape{3, 31}, Shape{33, 17}, Shape{197, 33}, Shape{2, 5, 7}, Shape{2, 1000}}) {
    CAPTURE(x.str());
    check_gradients(problem(normal(x, 1)));
  }
}

TEST_CASE("root mean square normalisation's values and gradients agree with the reference, frozen or not") {
  for (const Shape& x : {Shape{1, 3}, Shape{3, 31}, Shape{197, 33}, Shape{2, 5, 7}, Shape{2, 1000}})
    for (const int which : {0, 1, 2}) {
      CAPTURE(x.str());
      Problem p;
      p.inputs = {normal(x, 1)};
      p.params = {normal({x.cols()}, 2, 0.3, 1)};
      if (which == 1) p.inputs[0] = frozen(p.inputs[0]);
      if (which == 2) p.params[0] = frozen(p.params[0]);
      p.op = [](Tape& tape, std::span<const Tensor> inputs, std::span<Param*> params) {
        return rmsnorm(tape, "norm", inputs[0], *params[0], epsilon);
      };
      p.reference = [](std::span<const Values> inputs, std::span<const Values> params) {
        const Values &in = inputs[0], &gamma = params[0];
        const size_t n = gamma.size();
        Values y(in.size());
        for (size_t first = 0; first < in.size(); first += n) {
          double squares = 0;
          for (size_t i = 0; i < n; ++i) squares += in[first + i] * in[first + i] / static_cast<double>(n);
          for (size_t i = 0; i < n; ++i)
            y[first + i] = in[first + i] / std::sqrt(squares + static_cast<double>(epsilon)) * gamma[i];
        }
        return y;
      };
      check_gradients(p);
    }
}

TEST_CASE("layer normalisation of rows far from zero does not lose their differences") {
  Problem p = problem(normal({5, 33}, 1, 1, 1000));
  p.tolerance = 2e-4;  // the mean itself is only known to a unit in the last place: 6e-5
  check_gradients(p);
}

TEST_CASE("layer normalisation of a constant row is beta, with finite gradients") {
  Device device(test_backend(1));
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  Tensor x = upload(device, normal({2, 31}, 1, 0, 4));
  tape.watch(x);
  Param gamma = make_param(device, "gamma", normal({31}, 2)), beta = make_param(device, "beta", normal({31}, 3));
  const Tensor y = layernorm(tape, "norm", x, gamma, beta, epsilon), dy = upload(device, normal({2, 31}, 4));
  const std::vector<float> values = device.download(y), expected = device.download(beta.value);
  for (size_t i = 0; i < values.size(); ++i) CHECK(values[i] == expected[i % 31]);
  tape.backward(weighted_sum(tape, y, dy));
  for (const float g : device.download(tape.grad(x))) CHECK(std::isfinite(g));
  for (const float g : device.download(gamma.grad)) CHECK(g == 0);
}

TEST_CASE("frozen parameters of layer normalisation get no gradient, and the others keep theirs") {
  for (const int which : {0, 1, 2}) {
    CAPTURE(which);
    Problem p = problem(normal({3, 31}, 1));
    if (which != 1) p.params[0] = frozen(p.params[0]);
    if (which != 0) p.params[1] = frozen(p.params[1]);
    check_gradients(p);
  }
  Problem p = problem(frozen(normal({3, 31}, 1)));
  check_gradients(p);
}

TEST_CASE("two layer normalisations may share one of their parameters and have the other to themselves") {
  for (const bool share_gamma : {false, true}) {
    CAPTURE(share_gamma);
    Problem p;
    p.inputs = {normal({3, 31}, 1), normal({5, 31}, 2)};
    p.params = {normal({31}, 3, 0.3, 1), normal({31}, 4), normal({31}, 5, 0.3, 1)};
    const size_t gamma_of_b = share_gamma ? 0 : 2, beta_of_b = share_gamma ? 2 : 1;
    p.op = [=](Tape& tape, std::span<const Tensor> x, std::span<Param*> params) {
      const Tensor a = layernorm(tape, "a", x[0], *params[0], *params[1], epsilon);
      const Tensor b = layernorm(tape, "b", x[1], *params[gamma_of_b], *params[beta_of_b], epsilon);
      return add(tape, "sum", take_token(tape, "a", a.reshaped({1, 3, 31}), 2),
                 take_token(tape, "b", b.reshaped({1, 5, 31}), 4));
    };
    p.reference = [=](std::span<const Values> x, std::span<const Values> params) {
      const double eps = static_cast<double>(epsilon);
      const Values a = reference_layernorm(x[0], params[0], params[1], eps);
      const Values b = reference_layernorm(x[1], params[gamma_of_b], params[beta_of_b], eps);
      Values y(31);
      for (size_t i = 0; i < 31; ++i) y[i] = a[2 * 31 + i] + b[4 * 31 + i];
      return y;
    };
    check_gradients(p);
  }
}

TEST_CASE("layer normalisation saves its input and holds two numbers per row, or nothing where all is frozen") {
  Device device(test_backend(1));
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  Tensor x = upload(device, normal({3, 31}, 1));
  Param gamma = make_param(device, "gamma", normal({31}, 2)), beta = make_param(device, "beta", normal({31}, 3));
  layernorm(tape, "norm", x, gamma, beta, epsilon);
  REQUIRE(tape.report().size() == 3);
  CHECK(tape.report()[0].got == "dense");
  CHECK(tape.report()[0].dense_bytes == 3 * 31 * 4);
  for (const size_t i : {1u, 2u}) {
    CHECK(tape.report()[i].got == "held");
    CHECK(tape.report()[i].dense_bytes == 3 * 4);
  }
  tape.reset();
  gamma.trainable = beta.trainable = false;
  const Tensor y = layernorm(tape, "norm", x, gamma, beta, epsilon);
  CHECK(tape.report().empty());
  CHECK_FALSE(y.slot.wanted());
}

TEST_CASE("layer normalisation refuses parameters of another width, with its site and the shapes") {
  Device device(test_backend(1));
  Tape tape(device);
  const Tensor x = upload(device, normal({3, 31}, 1));
  Param right = make_param(device, "gamma", normal({31}, 2)), wrong = make_param(device, "beta", normal({33}, 3));
  CHECK(sentence(Fault::internal, [&] { layernorm(tape, "blocks.0.norm1", x, wrong, right, epsilon); }) ==
        "layernorm blocks.0.norm1: input (3, 31) does not fit gamma (33) and beta (31)");
  CHECK(sentence(Fault::internal, [&] { layernorm(tape, "blocks.0.norm1", x, right, wrong, epsilon); }) ==
        "layernorm blocks.0.norm1: input (3, 31) does not fit gamma (31) and beta (33)");
}
