// The whole model against PyTorch: logits, loss and every gradient of the ViTs that tools/golden_vit.py made.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "backend.h"
#include "shear/io.h"
#include "shear/models/vit.h"
#include "shear/policies.h"
#include "tests_dir.h"

using namespace shear;
using namespace shear::test;

namespace {

std::filesystem::path golden_directory() {
  if (const char* chosen = std::getenv("SHEAR_GOLDEN")) return chosen;
  return tests_dir() / "golden";
}

using Results = std::map<std::string, std::vector<float>>;

// One forward and one backward of a case: every gradient by name, the logits and the loss.
Results run(const std::string& name, std::string_view policy_name, int threads) {
  const std::string base = (golden_directory() / name).string();
  const SafeTensors weights(base + ".weights.safetensors"), batch(base + ".batch.safetensors");
  Device device(test_backend(threads));
  Vit model(device, parse_vit(weights.metadata().at("model")), 1);
  REQUIRE(weights.tensors().size() == model.parameters().size());
  for (Param& p : model.parameters()) {
    CAPTURE(p.name);
    const TensorView* value = weights.find(p.name);
    REQUIRE(value);
    REQUIRE(value->shape == p.value.shape());
    device.run().upload(p.value.data<void>(), read_floats(weights, *value).data(), p.value.bytes());
  }
  model.parameters().make_gradients();

  const TensorView &images = *batch.find("images"), &labels = *batch.find("labels");
  const std::vector<int64_t> classes = read_integers(batch, labels);
  const std::vector<int32_t> narrow(classes.begin(), classes.end());
  const Tensor x = device.upload(images.shape, Category::workspace, read_floats(batch, images));
  const Tensor y = device.empty(labels.shape, Category::workspace, DType::i32);
  device.run().upload(y.data<void>(), narrow.data(), y.bytes());

  const auto policy = make_policy(policy_name);
  Tape tape(device, *policy);
  Results results;
  const Tensor logits = model(tape, x), loss = cross_entropy(tape, "loss", logits, y);
  results["logits"] = device.download(logits);
  results["loss"] = device.download(loss);
  tape.backward(loss);
  const VitConfig& c = model.config();
  const auto writes = [&](const Param& p) -> int64_t {
    if (p.name == "rope.freqs" || p.name.starts_with("rel_pos_bias.")) return c.depth;  // a share of each block
    if (p.name.ends_with(".ls.gamma")) return c.differential ? 1 : 2;                   // of both last layers
    return c.pool == Pool::two_heads && p.name.starts_with("norm.") ? 2 : 1;            // it norms two tokens
  };
  for (const Param& p : model.parameters()) {
    CHECK(p.writes == writes(p));
    results[p.name] = device.download(p.grad);
  }
  return results;
}

struct Difference {
  double in_norm, at_worst;  // ||a - b|| / ||b||, and max |a - b| / max |b|
};
Difference difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double squares = 0, norm = 0, worst = 0, largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])),
                 of_b = std::fabs(static_cast<double>(b[i]));
    squares += d * d;
    norm += of_b * of_b;
    worst = d <= worst ? worst : d;  // nan wins, and stays
    largest = std::max(largest, of_b);
  }
  return {std::sqrt(squares / norm), worst / largest};
}

// The names of the cases, from their files.
std::vector<std::string> cases() {
  std::vector<std::string> names;
  const std::string ending = ".weights.safetensors";
  for (const auto& file : std::filesystem::directory_iterator(golden_directory()))
    if (const std::string name = file.path().filename().string(); name.ends_with(ending))
      names.push_back(name.substr(0, name.size() - ending.size()));
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TEST_CASE("logits, loss and every gradient of a ViT are PyTorch's, under every exact policy") {
  REQUIRE(cases().size() >= 4);
  for (const std::string& name : cases()) {
    const SafeTensors golden((golden_directory() / (name + ".gradients.safetensors")).string());
    for (const char* policy : {"full", "lean"})
      for (const int threads : {1, 2}) {
        CAPTURE(name);
        CAPTURE(policy);
        CAPTURE(threads);
        const Results results = run(name, policy, threads);
        REQUIRE(results.size() == golden.tensors().size());
        for (const TensorView& expected : golden.tensors()) {
          CAPTURE(expected.name);
          REQUIRE(results.contains(expected.name));
          const Difference d = difference(results.at(expected.name), read_floats(golden, expected));
          CHECK(d.in_norm < 1e-4);
          CHECK(d.at_worst < 1e-4);
        }
      }
  }
}

TEST_CASE("lean's gradients of a ViT have full's bits") {
  for (const std::string& name : cases()) {
    CAPTURE(name);
    CHECK(run(name, "full", 2) == run(name, "lean", 2));
  }
}
