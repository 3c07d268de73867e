// The tape under bf16: two bytes of a value, and gradients near those of f32.
#include <doctest/doctest.h>

#include <cmath>

#include "backend.h"
#include "shear/io.h"
#include "vit_run.h"

using namespace shear;
using namespace shear::test;

namespace {

const VitConfig vit{.image = 20, .patch = 5, .dim = 24, .depth = 2, .heads = 3, .classes = 7, .channels = 3};

std::vector<std::string> every_policy() {
  std::vector<std::string> names;
  for (const PolicyDoc& doc : policy_docs()) names.emplace_back(doc.name);
  return names;
}

}  // namespace

TEST_CASE("under bf16 what full keeps of an activation takes two bytes of each value") {
  VitRun wide(make_cpu_backend(2), vit, 4, "full"), narrow(make_cpu_backend(2, Precision::bf16), vit, 4, "full");
  wide.step(0, 1, false);
  narrow.step(0, 1, false);
  REQUIRE(wide.tape.report().size() == narrow.tape.report().size() + 2);  // two log-sum-exps are not held
  size_t halved = 0;
  for (const SaveRow& row : narrow.tape.report()) {
    if (row.got != "packed") continue;
    CHECK(row.asked == "keep");
    CHECK(row.saved_bytes == aligned(row.dense_bytes / 2));
    ++halved;
  }
  CHECK(halved ==
        2 * 8 + 2);  // of a block: two norms' inputs, qkv's, its output, proj's, fc1's, GELU's, fc2's; norm, head
}

TEST_CASE("under bf16 every policy's gradients are near those under f32, and the bytes are as planned") {
  for (const std::string& policy : every_policy()) {
    CAPTURE(policy);
    VitRun wide(make_cpu_backend(2), vit, 4, policy), narrow(make_cpu_backend(2, Precision::bf16), vit, 4, policy);
    VitRun planned(make_shape_backend(make_cpu_backend(2, Precision::bf16)), vit, 4, policy);
    wide.step(0);
    narrow.step(0);
    planned.step(0);
    CHECK(narrow.device.peak() == planned.device.peak());
    const auto expected = wide.gradients(), got = narrow.gradients();
    double difference = 0, size = 0;
    for (size_t p = 0; p < got.size(); ++p)
      for (size_t i = 0; i < got[p].size(); ++i) {
        difference += std::pow(static_cast<double>(got[p][i] - expected[p][i]), 2);
        size += std::pow(static_cast<double>(expected[p][i]), 2);
      }
    const double relative = std::sqrt(difference / size);
    CHECK(relative > 1e-5);  // it is not f32
    // What a policy draws does not depend on the precision; what it selects by size may.
    CHECK(relative < (policy == "full" || policy == "lean" || policy == "checkpoint" ? 0.02 : 0.2));
  }
}

TEST_CASE("under bf16 LayerNorm and GELU are of their input rounded to bf16, as it sleeps") {
  Device wide(make_backend(test_device(), 2, Precision::f32), small_step),
      narrow(make_backend(test_device(), 2, Precision::bf16), small_step);
  Stream stream(1, Purpose::test);
  std::vector<float> x(size_t{33} * 47), rounded;
  for (float& v : x) v = 3 * stream.normal();
  for (const float v : x) rounded.push_back(bf16_to_f32(f32_to_bf16(v)));
  const std::vector<float> gamma(47, 1.3f), beta(47, -0.2f);
  const auto results = [&](Device& device, const std::vector<float>& input) {
    Tape tape(device);
    const Tensor in = device.upload({33, 47}, Category::workspace, input);
    Param g, b;
    g.value = device.upload({47}, Category::parameters, gamma);
    b.value = device.upload({47}, Category::parameters, beta);
    return std::array{device.download(layernorm(tape, "norm", in, g, b, 1e-6f)),
                      device.download(gelu(tape, "act", in, GeluForm::exact)),
                      device.download(gelu(tape, "act", in, GeluForm::tanh))};
  };
  const auto found = results(narrow, x);
  CHECK(found == results(wide, rounded));
  CHECK(found != results(wide, x));
}
