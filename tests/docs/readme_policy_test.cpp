// The README's policy, as it stands there (tests/docs/readme_test.py compares), and what it must do.
#include <doctest/doctest.h>

#include <cmath>

#include "gradcheck.h"
#include "shear/make_backend.h"
#include "shear/models/vit.h"
#include "shear/policies.h"

// [readme
#include "shear/policy.h"

// In blocks every value sleeps in 8 bits; what an op can make again from such a value is not stored at all.
class EightBits final : public shear::MemoryPolicy {
 public:
  std::string name() const override { return "8bit"; }

  shear::Verdict decide(const shear::SaveRequest& request) override {
    using namespace shear;
    if (!request.in_block()) return Keep{};
    if (request.recipe != SaveRequest::Recipe::none) return Recompute{.exact = false};
    return Pack{.keep = 1, .code = Code::u8, .stochastic = true};
  }
};
// readme]

using namespace shear;
using namespace shear::test;

TEST_CASE("the README's policy keeps a quarter of what full keeps, and its gradients point the same way") {
  const VitConfig config{.image = 32, .patch = 4, .dim = 48, .depth = 3, .heads = 4, .classes = 10, .channels = 3};
  const auto full = make_policy("full");
  EightBits eight;
  std::vector<std::vector<float>> gradients[2];
  size_t saved[2] = {0, 0};
  for (const size_t i : {0u, 1u}) {
    Device device(make_cpu_backend(2));
    Vit model(device, config, 1);
    MemoryPolicy& policy = i == 0 ? *full : static_cast<MemoryPolicy&>(eight);
    Tape tape(device, policy, model.parameters());
    tape.begin_step(0);
    const Tensor images = upload(device, normal({4, 3, 32, 32}, 1));
    const std::vector<int32_t> classes{0, 3, 1, 2};
    const Tensor loss = cross_entropy(tape, "loss", model(tape, images), upload_labels(device, classes));
    for (const SaveRow& row : tape.report())
      if (row.site.starts_with("blocks.")) saved[i] += row.saved_bytes;
    tape.backward(loss);
    for (const Param& p : model.parameters()) gradients[i].push_back(device.download(p.grad));
  }
  double dot = 0, squares[2] = {0, 0};
  for (size_t t = 0; t < gradients[0].size(); ++t)
    for (size_t e = 0; e < gradients[0][t].size(); ++e) {
      const double a = static_cast<double>(gradients[0][t][e]), b = static_cast<double>(gradients[1][t][e]);
      dot += a * b;
      squares[0] += a * a;
      squares[1] += b * b;
    }
  CHECK(dot / std::sqrt(squares[0] * squares[1]) > 0.995);
  CHECK(squares[0] != squares[1]);
  CHECK(saved[1] * 4 < saved[0]);
}
