// y = x / (1 - p) where kept, else 0; the mask is drawn again in backward.
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

const StreamKey key{11, static_cast<uint32_t>(Purpose::dropout), 3, 5};

struct Dropped {
  std::vector<float> y, dx;
};

// Values and gradient where x and dy are all one.
Dropped drop(int64_t n, float p, StreamKey stream, int threads) {
  Device device(test_backend(threads));
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  const std::vector<float> ones(static_cast<size_t>(n), 1.f);
  Tensor x = device.upload({n}, Category::workspace, ones);
  tape.watch(x);
  const Tensor y = dropout(tape, "drop", x, p, stream), dy = device.upload({n}, Category::workspace, ones);
  Dropped d{device.download(y), {}};
  tape.backward(weighted_sum(tape, y, dy));
  CHECK(tape.report().empty());  // no mask is stored
  d.dx = device.download(tape.grad(x));
  return d;
}

}  // namespace

TEST_CASE("dropout agrees with a reference that draws the same words, in values and gradients") {
  for (const Shape& shape : {Shape{1}, Shape{3, 31}, Shape{197, 33}, Shape{3, 5, 1201}}) {  // the last: several threads
    CAPTURE(shape.str());
    const float p = 0.3f;
    Problem problem;
    problem.inputs = {normal(shape, 1)};
    problem.op = [=](Tape& tape, std::span<const Tensor> x, std::span<Param*>) {
      return dropout(tape, "drop", x[0], p, key);
    };
    problem.reference = [=](std::span<const Values> x, std::span<const Values>) {
      Values y(x[0].size());
      for (size_t i = 0; i < y.size(); ++i)
        y[i] = static_cast<double>(key.word(i)) < static_cast<double>(p) * 0x1p32
                   ? 0
                   : x[0][i] / (1 - static_cast<double>(p));
      return y;
    };
    check_gradients(problem);
  }
}

TEST_CASE("dropout's mask in backward is the one of forward, and scales what it keeps") {
  for (const float p : {0.1f, 0.5f, 0.9f}) {
    CAPTURE(p);
    const Dropped d = drop(1037, p, key, 2);
    size_t kept = 0;
    for (size_t i = 0; i < d.y.size(); ++i) {
      CHECK(d.y[i] == d.dx[i]);
      if (d.y[i] != 0) CHECK(d.y[i] == doctest::Approx(1 / (1 - p)));
      kept += d.y[i] != 0;
    }
    CHECK(kept > 0);
    CHECK(kept < d.y.size());
  }
}

TEST_CASE("dropout keeps the expected share, and the mean of what passes") {
  const int64_t n = 200000;
  for (const double p : {0.1, 0.5, 0.75}) {
    CAPTURE(p);
    const Dropped d = drop(n, static_cast<float>(p), key, 2);
    double sum = 0, kept = 0;
    for (const float v : d.y) {
      sum += static_cast<double>(v);
      kept += v != 0;
    }
    const double deviation = std::sqrt(p * (1 - p) * static_cast<double>(n));
    CHECK(std::fabs(kept - (1 - p) * static_cast<double>(n)) < 5 * deviation);
    CHECK(std::fabs(sum - static_cast<double>(n)) < 5 * deviation / (1 - p));
  }
}

TEST_CASE("dropout gives the same bits on one thread and on two, and others for another stream") {
  const Dropped one = drop(50003, 0.4f, key, 1), two = drop(50003, 0.4f, key, 2);
  CHECK(one.y == two.y);
  CHECK(one.dx == two.dx);
  StreamKey next = key;
  ++next.b;
  CHECK(drop(50003, 0.4f, next, 1).y != one.y);
}

TEST_CASE("dropout at p = 0, and in inference, is its input as it is") {
  Device device(test_backend(1));
  const auto policy = make_policy("full");
  Tape training(device, *policy), inference(device);
  const Tensor x = upload(device, normal({3, 31}, 1));
  CHECK(dropout(training, "drop", x, 0, key).serial() == x.serial());
  CHECK(dropout(inference, "drop", x, 0.5f, key).serial() == x.serial());
  CHECK(dropout(training, "drop", x, 0.5f, key).serial() != x.serial());
}

TEST_CASE("dropout refuses a probability outside [0, 1) with its site and the number") {
  Device device(test_backend(1));
  Tape tape(device);
  const Tensor x = upload(device, normal({3}, 1));
  CHECK(sentence(Fault::internal, [&] { dropout(tape, "blocks.1.drop", x, 1, key); }) ==
        "dropout blocks.1.drop: p is 1, expected 0 <= p < 1");
  CHECK(sentence(Fault::internal, [&] { dropout(tape, "drop", x, -0.25f, key); }) ==
        "dropout drop: p is -0.25, expected 0 <= p < 1");
  CHECK(sentence(Fault::internal, [&] { dropout(tape, "drop", x, std::nanf(""), key); }).find("expected 0 <= p < 1") !=
        std::string::npos);
}
