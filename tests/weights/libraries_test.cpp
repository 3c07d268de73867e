// Files of each kind of model as its library saves it: each computes here what its library computes, and is trained.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "errors.h"
#include "shear/make_backend.h"
#include "shear/policies.h"
#include "shear/weights.h"
#include "temp_dir.h"
#include "tests_dir.h"
#include "vit_of.h"

using namespace shear;
using namespace shear::test;
namespace fs = std::filesystem;

namespace {

const fs::path golden = tests_dir() / "golden" / "families";

std::vector<std::string> cases() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(golden))
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

// What no file beside these weights says.
std::string asked(const std::string& name) {
  const std::string sizes = "vit:image=12,patch=4,dim=24,depth=1,heads=3";
  if (name == "torchvision") return sizes + ",hidden=40";
  if (name == "open_clip") return sizes + ",eps=1e-5,patch-bias=0,norm-before=1,head-bias=0";
  return {};
}

fs::path file_of(const std::string& name) {
  const fs::path folder = golden / name;
  if (name == "torchvision") return folder / "vit.pth";
  return name == "open_clip" ? folder / "open_clip_model.safetensors" : folder;
}

}  // namespace

TEST_CASE("a file of each library and kind computes what its library computes, and nothing of it is left out unsaid") {
  const SafeTensors expected(golden / "expected.safetensors");
  const std::vector<float> images = read_floats(expected, *expected.find("images"));
  REQUIRE(cases().size() == 31);
  for (const std::string& name : cases()) {
    CAPTURE(name);
    const Weights weights(file_of(name));
    const VitConfig config = vit_of(weights, asked(name));
    CAPTURE(spec(config));
    Device device(make_cpu_backend(1));
    Vit model(device, config, 1, Values::undefined);
    const WeightsReport report = load_weights(weights, model.parameters(), {});
    CHECK(report.missing.empty());
    CHECK(report.unused.empty());
    Tape tape(device);
    const Tensor x = device.upload({2, 3, 12, 12}, Category::workspace, images);
    const std::vector<float> found = device.download(model(tape, x)),
                             wanted = read_floats(expected, *expected.find("logits." + name));
    REQUIRE(found.size() == wanted.size());
    for (size_t i = 0; i < found.size(); ++i) CHECK(std::fabs(found[i] - wanted[i]) < 1e-4f);
  }
}

TEST_CASE("a file of each library and kind is fine-tuned with a head for other classes") {
  for (const std::string& name : cases()) {
    CAPTURE(name);
    const Weights weights(file_of(name));
    const ModelSpecPtr spec = weights.model(asked(name))->with_classes(7);
    Device device(make_cpu_backend(1));
    const std::unique_ptr<Model> model = spec->make(device, 1, Values::undefined);
    const WeightsReport report =
        load_weights(weights, model->parameters(), {.matching = Matching::fine_tuning, .positions = {}});
    CHECK(report.head == HeadFrom::zero);
    CHECK(report.missing.empty());
    const auto policy = make_policy("prebr++");
    Tape tape(device, *policy, model->parameters());
    model->parameters().make_gradients();
    tape.begin_step(0);
    const Tensor x = device.upload({2, 3, 12, 12}, Category::workspace, std::vector<float>(2 * 3 * 144, 0.5f)),
                 labels = device.upload({2}, Category::workspace, std::vector<int32_t>{3, 5});
    tape.backward(cross_entropy(tape, "loss", (*model)(tape, x), labels));
    for (const Param& p : model->parameters()) CHECK_MESSAGE(p.writes > 0, p.name);
  }
}

TEST_CASE("of a masked autoencoder of Hugging Face's the encoder is a ViT, and the decoder is no part of it") {
  const SafeTensors vit(tests_dir() / "golden" / "weights" / "hf" / "model.safetensors");
  const std::vector<float> some(16);
  std::vector<TensorToWrite> tensors{{"decoder.mask_token", DType::f32, {1, 1, 16}, some.data()},
                                     {"decoder.decoder_norm.weight", DType::f32, {16}, some.data()},
                                     {"decoder.decoder_layers.0.output.dense.bias", DType::f32, {16}, some.data()}};
  for (const TensorView& t : vit.tensors())
    if (!t.name.starts_with("classifier.")) tensors.push_back({t.name, t.dtype, t.shape, t.bytes.data()});
  const TempDir dir;
  write_safetensors(dir / "model.safetensors", tensors);
  put(dir / "config.json", R"({"model_type": "vit_mae", "num_attention_heads": 3, "layer_norm_eps": 1e-12})");
  const Weights weights(dir / "model.safetensors");
  CHECK(weights.classes() == 0);
  CHECK(vit_of(weights).heads == 3);
  CHECK(weights.unused().size() == 3);
  for (const Unused& u : weights.unused()) CHECK_MESSAGE(u.loss == Unused::Loss::none, u.name);
}

TEST_CASE("what no weight tells is asked for: a model whose positions may turn has no name without its config") {
  const fs::path folder = golden / "dinov3";
  const TempDir dir;
  fs::copy(folder / "model.safetensors", dir / "model.safetensors");
  const Weights weights(dir / "model.safetensors");
  CHECK(sentence(Fault::usage, [&] { weights.model(); }).find("whose positions turn its queries and keys") !=
        std::string::npos);
}

TEST_CASE("relative positions are of one grid of patches: they need no config, and another size is refused") {
  const TempDir dir;
  fs::copy(golden / "beit" / "model.safetensors", dir / "model.safetensors");
  const Weights weights(dir / "model.safetensors");
  const ModelSpecPtr model = weights.model();
  CHECK(*vit_config(*model) == vit_of(Weights(golden / "beit")));
  CHECK(weights.heads_guess(*model, {}).empty());
  Device device(make_cpu_backend(1));
  const std::unique_ptr<Model> larger = weights.model({}, 16)->make(device, 1, Values::undefined);
  const std::string said = sentence(Fault::input, [&] { load_weights(weights, larger->parameters(), {}); });
  CHECK(
      said.find("blocks.0.attn.relative_position_bias_table has the shape (28, 3), the model expects (52, 3): relative "
                "positions are not resized") != std::string::npos);
}

TEST_CASE("a config of BEiT that contradicts its weights is refused by what it says") {
  const std::string config = read_text(golden / "hf_beit" / "config.json");
  const auto refused = [&](const std::string& key, const char* now, const char* then) {
    const TempDir dir;
    fs::copy(golden / "hf_beit" / "model.safetensors", dir / "model.safetensors");
    std::string other = config;
    const std::string before = '"' + key + "\": " + now;
    const size_t at = other.find(before);
    REQUIRE(at != std::string::npos);
    other.replace(at, before.size(), '"' + key + "\": " + then);
    write_text_atomically(dir / "config.json", other);
    return sentence(Fault::input, [&] { const Weights weights(dir.path()); });
  };
  const auto holds = [](const std::string& said, const char* part) { return said.find(part) != std::string::npos; };
  CHECK(holds(refused("use_relative_position_bias", "true", "false"),
              "says that there are no relative positions of each block, but the weights"));
  CHECK(holds(refused("use_shared_relative_position_bias", "false", "true"),
              "says that there are relative positions of each block and shared ones, expected one of them"));
  CHECK(holds(refused("use_absolute_position_embeddings", "false", "true"),
              "says that there are position embeddings, but the weights"));
  CHECK(
      holds(refused("use_mean_pooling", "true", "false"), "says that all tokens are normalised last, but the weights"));
}

TEST_CASE("where OpenCLIP's files do not say which GELU is theirs, nor the heads, both guesses are in the warning") {
  const Weights weights(file_of("open_clip"));
  const std::string guess = weights.heads_guess(*weights.model(asked("open_clip")), {});
  CHECK(guess.find("OpenAI's own weights have its quick form") != std::string::npos);
  CHECK(guess.find("heads: 3, guessed from the width 24 (8 a head)") != std::string::npos);
}
