// Parameters, modules, and the smallest model made of them.
#include "shear/nn.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "backend.h"
#include "errors.h"
#include "shear/models/mlp.h"
#include "shear/policies.h"

using namespace shear;
using namespace shear::test;
using shear::test::sentence;

namespace {

void set(const Param& p, const std::vector<float>& values, Device& device) {
  REQUIRE(p.value.elements() == static_cast<int64_t>(values.size()));
  device.run().upload(p.value.data<void>(), values.data(), p.value.bytes());
}

struct Moments {
  double mean = 0, deviation = 0, furthest = 0;
};
Moments moments(const std::vector<float>& values) {
  Moments m;
  double squares = 0;
  for (const float v : values) {
    const double x = static_cast<double>(v);
    m.mean += x / static_cast<double>(values.size());
    squares += x * x / static_cast<double>(values.size());
    m.furthest = std::max(m.furthest, std::fabs(x));
  }
  m.deviation = std::sqrt(squares - m.mean * m.mean);
  return m;
}

}  // namespace

TEST_CASE("a parameter's first values are the same on every machine") {
  // Worked out in f64 by a Philox, an FNV-1a and a Box-Muller transform written apart from these.
  const std::vector<double> weight{0.0030386573, -0.0059216118, -0.014658881, -0.01545659, -0.031756433, 0.0083170882};
  const std::vector<double> token{-2.4620414e-07, -2.4093716e-07, 6.1176362e-08};
  Device device(test_backend(1));
  Parameters parameters(device, 42);
  const auto w = device.download(parameters.add("head.weight", {2, 3}, Init::trunc_normal, true).value);
  const auto t = device.download(parameters.add("cls_token", {1, 1, 3}, Init::tiny_normal, false).value);
  for (size_t i = 0; i < w.size(); ++i) CHECK(std::fabs(static_cast<double>(w[i]) - weight[i]) < 1e-8);
  for (size_t i = 0; i < t.size(); ++i) CHECK(std::fabs(static_cast<double>(t[i]) - token[i]) < 1e-13);
}

TEST_CASE("a parameter's first values depend neither on its place nor on its neighbours") {
  Device device(test_backend(1));
  Parameters first(device, 1), last(device, 1), other_seed(device, 2);
  const Tensor a = first.add("a", {100}, Init::trunc_normal, true).value;
  const Tensor b = first.add("b", {100}, Init::trunc_normal, true).value;
  last.add("b", {7}, Init::trunc_normal, true);
  CHECK(device.download(last.add("a", {100}, Init::trunc_normal, true).value) == device.download(a));
  CHECK(device.download(a) != device.download(b));
  CHECK(device.download(other_seed.add("a", {100}, Init::trunc_normal, true).value) != device.download(a));
}

TEST_CASE("first values have the spread that their kind says") {
  Device device(test_backend(1));
  Parameters parameters(device, 5);
  const auto draw = [&](const char* name, Init init) {
    return device.download(parameters.add(name, {200, 500}, init, true).value);
  };
  const Moments weight = moments(draw("weight", Init::trunc_normal));
  CHECK(std::fabs(weight.mean) < 2e-4);
  CHECK(weight.deviation == doctest::Approx(0.02 * 0.87963).epsilon(0.01));  // of a normal cut at two deviations
  CHECK(weight.furthest <= 0.04 * (1 + 1e-6));
  CHECK(weight.furthest > 0.0395);
  const Moments token = moments(draw("token", Init::tiny_normal));
  CHECK(std::fabs(token.mean) < 1e-8);
  CHECK(token.deviation == doctest::Approx(1e-6).epsilon(0.01));
  CHECK(token.furthest > 3e-6);  // not cut
  CHECK(draw("zeros", Init::zeros) == std::vector<float>(100000, 0.f));
  CHECK(draw("ones", Init::ones) == std::vector<float>(100000, 1.f));
}

TEST_CASE("parameters are found by name, stay where they are, and come in the order of their making") {
  Device device(test_backend(1));
  Parameters parameters(device, 0);
  const Param* first = &parameters.add("z", {2, 3}, Init::zeros, true);
  for (int i = 0; i < 300; ++i) parameters.add("p" + std::to_string(i), {1}, Init::zeros, false);
  CHECK(parameters.find("z") == first);
  CHECK(&*parameters.begin() == first);
  CHECK(parameters.find("p299") == &*std::prev(parameters.end()));
  CHECK(parameters.find("p300") == nullptr);
  CHECK(parameters.size() == 301);
  CHECK(parameters.elements() == 306);
  CHECK(sentence(Fault::internal, [&] { parameters.add("p7", {1}, Init::zeros, false); }) ==
        "parameters: p7 is there already");
}

TEST_CASE("what is trainable gets a gradient buffer once, and a frozen parameter none") {
  Device device(test_backend(1));
  Parameters parameters(device, 0);
  Param &open = parameters.add("open", {5, 7}, Init::zeros, true),
        &frozen = parameters.add("frozen", {3}, Init::zeros, true);
  frozen.trainable = false;
  parameters.make_gradients();
  CHECK(open.grad.shape() == open.value.shape());
  CHECK_FALSE(static_cast<bool>(frozen.grad));
  CHECK(device.meter().live(Category::gradients) == aligned(35 * 4));
  const float* where = open.grad.data();
  parameters.make_gradients();
  CHECK(open.grad.data() == where);
  open.writes = 3;
  parameters.forget_gradients();
  CHECK(open.writes == 0);
}

TEST_CASE("on a backend that does not compute nothing is drawn") {
  Device device(make_shape_backend(test_backend(1)));
  Parameters parameters(device, 0);
  const int64_t side = int64_t{1} << 20;  // 4 TiB
  parameters.add("vast", {side, side}, Init::trunc_normal, true);
  CHECK(parameters.elements() == side * side);
  CHECK(device.meter().live(Category::parameters) == size_t{4} << 40);
}

TEST_CASE("a linear module is a weight that decays, a bias that does not, and their op at its name") {
  Device device(test_backend(1));
  Parameters parameters(device, 0);
  const Linear fc(parameters, "mlp.fc", 2, 3);
  CHECK(parameters.size() == 2);
  CHECK(&fc.weight() == parameters.find("mlp.fc.weight"));
  CHECK(fc.bias() == parameters.find("mlp.fc.bias"));
  CHECK(fc.weight().value.shape() == Shape{3, 2});
  CHECK(fc.bias()->value.shape() == Shape{3});
  CHECK(fc.weight().decay);
  CHECK_FALSE(fc.bias()->decay);
  CHECK(device.download(fc.bias()->value) == std::vector<float>(3, 0.f));
  CHECK(moments(device.download(fc.weight().value)).furthest > 0);

  set(fc.weight(), {1, 2, 3, 4, 5, 6}, device);
  set(*fc.bias(), {10, 20, 30}, device);
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  const Tensor x = device.upload({2, 1, 2}, Category::workspace, std::vector<float>{1, 1, 0, -1});
  const Tensor y = fc(tape, x);
  CHECK(y.shape() == Shape{2, 1, 3});
  CHECK(device.download(y) == std::vector<float>{13, 27, 41, 8, 16, 24});
  REQUIRE(tape.report().size() == 1);
  CHECK(tape.report()[0].site == "mlp.fc");
  const Tensor wide = device.upload({1, 3}, Category::workspace, std::vector<float>(3));
  CHECK(sentence(Fault::internal, [&] { fc(tape, wide); }) == "linear mlp.fc: input (1, 3) does not fit weight (3, 2)");
}

TEST_CASE("a linear module may begin with zeros") {
  Device device(test_backend(1));
  Parameters parameters(device, 0);
  const Linear head(parameters, "head", 4, 3, Init::zeros);
  CHECK(device.download(head.weight().value) == std::vector<float>(12, 0.f));
}

TEST_CASE("a norm module begins as plain standardisation, and none of it decays") {
  Device device(test_backend(1));
  Parameters parameters(device, 0);
  const Norm norm(parameters, "norm", 4, 1.f);
  REQUIRE(parameters.size() == 2);
  const Param &gamma = *parameters.begin(), &beta = *std::next(parameters.begin());
  CHECK(gamma.name == "norm.weight");
  CHECK(beta.name == "norm.bias");
  CHECK_FALSE(gamma.decay);
  CHECK_FALSE(beta.decay);
  Tape tape(device);
  const Tensor x = device.upload({1, 4}, Category::workspace, std::vector<float>{1, -1, 3, 5});
  const std::vector<double> deviations{-1, -3, 1, 3};  // the mean is 2, the variance 5
  const double root = std::sqrt(5 + 1.0);              // epsilon is 1
  std::vector<float> y = device.download(norm(tape, x));
  for (size_t i = 0; i < 4; ++i) CHECK(static_cast<double>(y[i]) == doctest::Approx(deviations[i] / root));
  set(gamma, {2, 2, 2, 2}, device);
  set(beta, {1, 2, 3, 4}, device);
  y = device.download(norm(tape, x));
  for (size_t i = 0; i < 4; ++i)
    CHECK(static_cast<double>(y[i]) == doctest::Approx(2 * deviations[i] / root + static_cast<double>(i + 1)));
}

TEST_CASE("an MLP's parameters are its layers' in their order") {
  Device device(test_backend(1));
  Mlp model(device, {12, 5, 3}, 1);
  const std::vector<std::pair<std::string, Shape>> expected{
      {"fc0.weight", {5, 12}}, {"fc0.bias", {5}}, {"fc1.weight", {3, 5}}, {"fc1.bias", {3}}};
  std::vector<std::pair<std::string, Shape>> found;
  for (const Param& p : model.parameters()) found.emplace_back(p.name, p.value.shape());
  CHECK(found == expected);
  CHECK(sentence(Fault::internal, [&] { Mlp(device, {12}, 1); }) ==
        "mlp: expected at least an input and an output width, found 1");
}

TEST_CASE("an MLP takes an image for the row of its pixels") {
  Device device(test_backend(1));
  Mlp model(device, {12, 5, 3}, 1);
  std::vector<float> pixels(24);
  Stream stream(1, Purpose::test);
  for (float& p : pixels) p = stream.normal();
  Tape tape(device);
  const Tensor logits = model(tape, device.upload({2, 3, 2, 2}, Category::workspace, pixels));
  CHECK(logits.shape() == Shape{2, 3});
  CHECK(device.download(logits) == device.download(model(tape, device.upload({2, 12}, Category::workspace, pixels))));
  const Tensor small = device.upload({2, 3, 2, 1}, Category::workspace, std::span(pixels).first(12));
  CHECK(sentence(Fault::internal, [&] { model(tape, small); }) ==
        "linear fc0: input (2, 6) does not fit weight (5, 12)");
}

TEST_CASE("an MLP has ReLU between its layers and none behind the last, in values and gradients") {
  Device device(test_backend(1));
  Mlp model(device, {2, 2, 2}, 1);
  set(*model.parameters().find("fc0.weight"), {1, 0, 0, 1}, device);
  set(*model.parameters().find("fc1.weight"), {1, 1, -1, -1}, device);
  model.parameters().make_gradients();
  const auto policy = make_policy("full");
  Tape tape(device, *policy);
  const Tensor x = device.upload({1, 2}, Category::workspace, std::vector<float>{3, -5});
  const Tensor logits = model(tape, x);
  CHECK(device.download(logits) == std::vector<float>{3, -3});  // -5 ends at the ReLU, and -3 does not
  const Tensor label = device.empty({1}, Category::workspace, DType::i32);
  const int32_t one = 1;
  device.run().upload(label.data<void>(), &one, sizeof one);
  tape.backward(cross_entropy(tape, "loss", logits, label));
  const double p = 1 / (1 + std::exp(-6.0));  // of class 0, and the gradient of its logit
  const auto near = [&](const char* name, const std::vector<double>& expected) {
    CAPTURE(name);
    const std::vector<float> found = device.download(model.parameters().find(name)->grad);
    REQUIRE(found.size() == expected.size());
    for (size_t i = 0; i < found.size(); ++i)
      CHECK(static_cast<double>(found[i]) == doctest::Approx(expected[i]).epsilon(1e-5));
  };
  near("fc1.weight", {3 * p, 0, -3 * p, 0});
  near("fc1.bias", {p, -p});
  near("fc0.weight", {2 * p * 3, 2 * p * -5, 0, 0});
  near("fc0.bias", {2 * p, 0});
}
