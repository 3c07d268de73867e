// Cross entropy with label smoothing: values, gradients, and logits far from zero.
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

double reference_loss(const Values& logits, const std::vector<int32_t>& labels, double smoothing) {
  const size_t n = logits.size() / labels.size();
  double loss = 0;
  for (size_t r = 0; r < labels.size(); ++r) {
    double max = -1e300, sum = 0;
    for (size_t c = 0; c < n; ++c) max = std::max(max, logits[r * n + c]);
    for (size_t c = 0; c < n; ++c) sum += std::exp(logits[r * n + c] - max);
    for (size_t c = 0; c < n; ++c) {
      const double target =
          smoothing / static_cast<double>(n) + (static_cast<size_t>(labels[r]) == c ? 1 - smoothing : 0);
      loss -= target * (logits[r * n + c] - max - std::log(sum)) / static_cast<double>(labels.size());
    }
  }
  return loss;
}

std::vector<int32_t> some_labels(int64_t batch, int64_t classes) {
  std::vector<int32_t> labels;
  for (int64_t b = 0; b < batch; ++b) labels.push_back(static_cast<int32_t>((5 * b + classes - 1) % classes));
  return labels;
}

struct Result {
  float loss;
  std::vector<float> grad;
};
Result run(const Shape& shape, const std::vector<float>& logits, const std::vector<int32_t>& labels, float smoothing) {
  Device device(test_backend(1));
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  Tensor x = device.upload(shape, Category::workspace, logits);
  tape.watch(x);
  const Tensor loss = cross_entropy(tape, "loss", x, upload_labels(device, labels), smoothing);
  Result r{device.download(loss)[0], {}};
  tape.backward(loss);
  r.grad = device.download(tape.grad(x));
  return r;
}

}  // namespace

TEST_CASE("cross entropy agrees with the reference in value and gradients, with and without smoothing") {
  for (const Shape& shape : {Shape{1, 2}, Shape{1, 3}, Shape{3, 31}, Shape{33, 10}, Shape{2, 197}})
    for (const float smoothing : {0.f, 0.1f, 1.f}) {
      CAPTURE(shape.str());
      CAPTURE(smoothing);
      const std::vector<int32_t> labels = some_labels(shape.rows(), shape.cols());
      Problem p;
      p.inputs = {normal(shape, 1, 2)};
      p.op = [=](Tape& tape, std::span<const Tensor> x, std::span<Param*>) {
        return cross_entropy(tape, "loss", x[0], upload_labels(tape.device(), labels), smoothing);
      };
      p.reference = [=](std::span<const Values> x, std::span<const Values>) {
        return Values{reference_loss(x[0], labels, static_cast<double>(smoothing))};
      };
      check_gradients(p);
    }
}

TEST_CASE("cross entropy of equal logits is the logarithm of the number of classes") {
  for (const float smoothing : {0.f, 0.3f}) {
    const Result r = run({3, 10}, std::vector<float>(30, 5.f), {0, 4, 9}, smoothing);
    CHECK(r.loss == doctest::Approx(std::log(10.0)).epsilon(1e-6));
  }
}

TEST_CASE("cross entropy of extreme logits is finite and right") {
  const Result wrong = run({1, 3}, {1e4f, -1e4f, 0}, {1}, 0);
  CHECK(wrong.loss == 2e4f);
  CHECK(wrong.grad[0] == doctest::Approx(1));
  CHECK(wrong.grad[1] == doctest::Approx(-1));
  CHECK(std::fabs(wrong.grad[2]) < 1e-30f);
  const Result right = run({1, 3}, {1e4f, -1e4f, 0}, {0}, 0);
  CHECK(right.loss == 0);
  for (const float g : right.grad) CHECK(std::fabs(g) < 1e-30f);
  const Result smooth = run({1, 2}, {3e38f, -3e38f}, {0}, 0.1f);  // 5% of a difference of 6e38
  CHECK(smooth.loss == doctest::Approx(3e37).epsilon(1e-5));
  for (const float g : smooth.grad) CHECK(std::isfinite(g));
}

TEST_CASE("cross entropy of one class is zero, and so is its gradient") {
  const Result r = run({3, 1}, {-2, 0, 7}, {0, 0, 0}, 0.1f);
  CHECK(r.loss == 0);
  for (const float g : r.grad) CHECK(std::fabs(g) < 1e-7f);
}

TEST_CASE("cross entropy's gradient sums to zero over each row, and grows with the seed") {
  Device device(test_backend(1));
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  const std::vector<int32_t> labels = some_labels(5, 31);
  std::vector<std::vector<float>> grads;
  for (const float seed : {1.f, 0.25f}) {
    Tensor x = upload(device, normal({5, 31}, 1));
    tape.watch(x);
    tape.backward(cross_entropy(tape, "loss", x, upload_labels(device, labels), 0.1f), seed);
    grads.push_back(device.download(tape.grad(x)));
    tape.reset();
  }
  for (size_t r = 0; r < 5; ++r) {
    double sum = 0;
    for (size_t c = 0; c < 31; ++c) sum += static_cast<double>(grads[0][r * 31 + c]);
    CHECK(std::fabs(sum) < 1e-7);
  }
  for (size_t i = 0; i < grads[0].size(); ++i) CHECK(grads[1][i] == grads[0][i] * 0.25f);
}

TEST_CASE("cross entropy refuses labels that do not fit, with its site, their type and both shapes") {
  Device device(test_backend(1));
  Tape tape(device);
  const Tensor x = upload(device, normal({3, 10}, 1));
  const Tensor two = upload_labels(device, std::vector<int32_t>{1, 2}), floats = upload(device, normal({3}, 2));
  CHECK(sentence(Fault::internal, [&] { cross_entropy(tape, "loss", x, two); }) ==
        "cross_entropy loss: logits (3, 10) do not fit labels I32 (2)");
  CHECK(sentence(Fault::internal, [&] { cross_entropy(tape, "loss", x, floats); }) ==
        "cross_entropy loss: input 2 is F32 (3), expected I32");
}
