// Weights that do not fit the model: whatever would be computed without what its library computes with is refused.
#include <algorithm>

#include "errors.h"
#include "shear/make_backend.h"
#include "shear/models/vit.h"
#include "shear/train.h"
#include "shell.h"
#include "tests_dir.h"
#include "vit_of.h"

using namespace shear;
using namespace shear::test;
namespace fs = std::filesystem;

namespace {

const fs::path golden = tests_dir() / "golden" / "weights";

// A golden file with tensors more, of one value each.
struct More {
  explicit More(const std::string& from, const std::vector<std::string>& names, const std::string& without = "") {
    const std::unique_ptr<TensorFile> file = open_tensors(golden / from);
    const float one = 1;
    std::vector<TensorToWrite> tensors;
    for (const TensorView& t : file->tensors())
      if (t.name != without) tensors.push_back({t.name, t.dtype, t.shape, t.bytes.data()});
    for (const std::string& name : names) tensors.push_back({name, DType::f32, {1}, &one});
    for (const char* config : {"config.json", "preprocessor_config.json"})
      if (fs::exists(golden / from / config)) fs::copy(golden / from / config, dir / config);
    write_safetensors(dir / "model.safetensors", tensors, file->metadata());
  }

  WeightsReport load(const LoadOptions& options) const {
    const Weights weights(dir.path());
    Device device(make_cpu_backend(1));
    Vit model(device, vit_of(weights), 1, Values::undefined);
    return load_weights(weights, model.parameters(), options);
  }
  std::string refusal(Matching matching) const {
    const std::string said = sentence(Fault::input, [&] { load({.matching = matching}); });
    return said.substr((dir / "model.safetensors: ").string().size());
  }

  TempDir dir;
};

}  // namespace

TEST_CASE("tensors that the weights' library computes with are refused by what they are, or named with a warning") {
  struct Case {
    const char* name;
    const char* what;
  };
  for (const auto& [name, what] : {Case{"blocks.0.attn.gate.weight", "a gate of attention"},
                                   {"blocks.0.attn.rel_pos_h", "relative positions"},
                                   {"patch_embed.backbone.conv.weight", "a convolutional stem"},
                                   {"pooler.dense.weight", ""},  // Hugging Face's alone is known
                                   {"something.else", ""}}) {
    CAPTURE(name);
    const More weights("timm", {name});
    const std::string listed = name + (*what ? text(" (", what, ')') : std::string());
    for (const Matching m : {Matching::exact, Matching::fine_tuning}) {
      CHECK(weights.refusal(m) ==
            text("1 tensor has no place in this model, which computes something else without it: ", listed,
                 "; expected only the model's parameters, or --allow-mismatch to leave out the others"));
      const WeightsReport report = weights.load({.matching = m, .allow_mismatch = true});
      CHECK(report.unused == std::vector<std::string>{name});
      REQUIRE(report.warnings.size() == 1);
      CHECK(report.warnings[0].ends_with(text(": not used: ", listed)));
    }
  }
}

TEST_CASE("many tensors are told of a kind at a time") {
  const More weights("timm", {"blocks.0.attn.gate.weight", "blocks.0.attn.gate.bias", "blocks.1.attn.gate.weight", "a",
                              "b", "c", "d"});
  CHECK(weights.refusal(Matching::exact).find("7 tensors have no place") == 0);
  CHECK(weights.refusal(Matching::exact).find("blocks.0.attn.gate.weight and 2 more (a gate of attention)") !=
        std::string::npos);
  CHECK(weights.refusal(Matching::exact).find("a, b, c and 1 more") != std::string::npos);
}

TEST_CASE("what the class token's logits do not depend on is no error") {
  for (const auto& [file, name, what] :
       {std::tuple{"hf", "vit.pooler.dense.weight", "the pooler, which no classification uses"},
        {"hf", "vit.embeddings.mask_token", "what stands for patches that pretraining hides"},
        {"timm", "blocks.0.attn.relative_position_index", "an index of relative positions"},
        {"timm", "bn.num_batches_tracked", "a count of training steps"}}) {
    CAPTURE(name);
    const More weights(file, {name});
    const WeightsReport report = weights.load({});
    CHECK(report.unused.empty());
    CHECK(report.warnings.empty());
    REQUIRE(report.notes.size() == 1);
    CHECK(report.notes[0].ends_with(text(": not needed: ", name, " (", what, ')')));
  }
  const More state("timm", {"optimizer.m.cls_token", "policy.blocks.0.mlp.fc1"});
  CHECK(state.load({}).notes.empty());
}

TEST_CASE("a layer before the head is needed for the head that came with it, and not for a new one") {
  const Weights weights(golden / "stored.npz");
  Device device(make_cpu_backend(1));
  Vit same(device, vit_of(weights), 1, Values::undefined);
  const auto load = [&](Vit& model, const LoadOptions& options) {
    return load_weights(weights, model.parameters(), options);
  };
  CHECK(sentence(Fault::input, [&] { load(same, {}); }).find("(a layer before the head)") != std::string::npos);
  const LoadOptions tuning{.matching = Matching::fine_tuning, .positions = {}, .classes = {"a", "b", "c", "d", "e"}};
  const WeightsReport report = load(same, tuning);
  CHECK(report.head == HeadFrom::zero);
  CHECK(report.unused.empty());
}

TEST_CASE("blocks beyond those of the model that is asked for are refused, and so are blocks that are not there") {
  const Weights weights(golden / "timm");
  Device device(make_cpu_backend(1));
  const auto refusal = [&](const std::string& depth) {
    Vit model(device, vit_of(weights, "vit:image=12,patch=4,dim=12,heads=3,mlp=2,depth=" + depth), 1,
              Values::undefined);
    return sentence(Fault::input,
                    [&] { load_weights(weights, model.parameters(), {.matching = Matching::fine_tuning}); });
  };
  CHECK(refusal("1").find("12 tensors have no place in this model") != std::string::npos);
  CHECK(refusal("1").find("(beyond the model)") != std::string::npos);
  CHECK(refusal("3").find("blocks.2.norm1.weight, blocks.2.norm1.bias, blocks.2.attn.qkv.weight and 9 more are not "
                          "there") != std::string::npos);
  const More cut("timm", {}, "norm.bias");
  CHECK(cut.refusal(Matching::fine_tuning).starts_with("norm.bias is not there, expected all"));
}

TEST_CASE("positions that are too many by tokens that Shear's ViT has not are told so") {
  const TempDir dir;
  const std::vector<float> values(48);
  write_safetensors(
      dir / "w.safetensors",
      std::vector<TensorToWrite>{{"pos_embed", DType::f32, {1, 7, 2}, values.data()},
                                 {"cls_token", DType::f32, {1, 1, 2}, values.data()},
                                 {"patch_embed.backbone.conv.weight", DType::f32, {1, 1, 2}, values.data()}});
  CHECK(sentence(Fault::input, [&] { const Weights w(dir / "w.safetensors"); }) ==
        text((dir / "w.safetensors").string(),
             ": pos_embed has 7 positions, expected a square grid, and one for the class "
             "token (\"patch_embed.backbone.conv.weight\" is a convolutional stem, which Shear's ViT does not have)"));
}

TEST_CASE("positions that are no square are those of the images that the config names, and stay of that size") {
  const TempDir dir;
  Device device(make_cpu_backend(1));
  const VitConfig config{.image = 8, .patch = 4, .dim = 16, .depth = 1, .heads = 2, .classes = 3, .width = 12};
  Vit model(device, config, 1);
  save_weights(dir / "model.safetensors", model.parameters(), {});
  const auto said = [&](const char* sizes) {
    std::ofstream(dir / "config.json") << R"({"model_type": "vit", "num_attention_heads": 2, "image_size": )" << sizes
                                       << '}';
    return sentence(Fault::input, [&] { vit_of(Weights(dir.path())); });
  };
  CHECK(said("[8, 20]").ends_with("says 8 x 20 pixels to an image, but the weights in " +
                                  (dir / "model.safetensors").string() +
                                  " have 7 positions, expected the config of these weights"));
  CHECK(said("8").find("7 positions, expected a square grid") != std::string::npos);
  std::ofstream(dir / "config.json") << R"({"model_type": "vit", "num_attention_heads": 2, "image_size": [8, 12]})";
  const Weights weights(dir.path());
  VitConfig found = vit_of(weights);
  found.epsilon = config.epsilon;
  CHECK(found == config);
  for (const int64_t size : {8, 12})
    CHECK(sentence(Fault::input, [&] { weights.model({}, size); })
              .ends_with("has positions for images of 8 x 12, expected a model of that size, as only square grids are "
                         "resized"));
  CHECK(sentence(Fault::usage, [&] {
          expect_square(*weights.model({}));
        }).find("photos are brought to squares alone") != std::string::npos);
}

TEST_CASE("every command refuses weights that do not fit, and goes on with --allow-mismatch") {
  Shell shear;
  const More weights("timm", {"blocks.0.attn.gate.weight"});
  const std::string w = weights.dir.path().string();
  for (const char* name : {"cat", "dog", "yak", "\u00e9t\u00e9", "a, b"})
    for (const char* part : {"train", "val"})
      for (const char* image : {"1.jpg", "2.jpg"}) {
        fs::create_directories(shear.dir / "data" / part / name);
        fs::copy(tests_dir() / "golden" / "images" / "rgb.jpg", shear.dir / "data" / part / name / image);
      }
  const std::string image = shear.path("data/val/cat/1.jpg"), data = shear.path("data");
  REQUIRE(shear({"prepare", "--weights", w, "--data", data, "--index", "0", "--out", shear.path("b")}).status == 0);
  const std::vector<Args> commands{
      {"predict", "--weights", w, image},
      {"eval", "--weights", w, "--data", data},
      {"gradients", "--weights", w, "--batch", shear.path("b"), "--out", shear.path("g")},
      {"export", "--weights", w, "--out", shear.path("e.safetensors")},
      {"train", "--weights", w, "--data", data, "--steps", "1", "--batch", "2", "--out", shear.path("run")},
      {"compare", "--weights", w, "--data", data, "--steps", "1", "--batch", "2", "--seeds", "1", "--policy", "full",
       "--cosine-batches", "1", "--out", shear.path("compare")}};
  for (Args args : commands) {
    CAPTURE(args[0]);
    shear.refuses(
        3, args,
        args[0] == "compare" ? Args{} : Args{"blocks.0.attn.gate.weight (a gate of attention)", "--allow-mismatch"});
    args.push_back("--strict");  // the same
    if (args[0] != "compare") shear.refuses(3, args, {"blocks.0.attn.gate.weight (a gate of attention)"});
    args.push_back("--allow-mismatch");
    shear.refuses(2, args, {"--strict", "--allow-mismatch"});
    args.erase(args.end() - 2);
    const Result r = shear(args);
    CAPTURE(r.err);
    CHECK(r.status == 0);
    CHECK(r.err.find("not used: blocks.0.attn.gate.weight (a gate of attention)") != std::string::npos);
  }
}

TEST_CASE("heads that are guessed from the width are warned of") {
  Shell shear;
  Device device(make_cpu_backend(1));
  const VitConfig config{.image = 8, .patch = 4, .dim = 128, .depth = 1, .heads = 4, .classes = 2};
  Vit model(device, config, 1);
  save_weights(shear.dir / "w.safetensors", model.parameters(), {});
  const std::string w = shear.path("w.safetensors"),
                    warning = "heads: 2, guessed from the width 128 (64 a head), not said by the file";
  const std::string image = (tests_dir() / "golden" / "images" / "rgb.jpg").string();
  const Result guessed = shear({"predict", "--weights", w, image}),
               told = shear({"predict", "--weights", w, "--model", spec(config), image}),
               exported = shear({"export", "--weights", w, "--out", shear.path("e.safetensors")});
  CHECK(guessed.err.find(warning) != std::string::npos);
  CHECK(told.status == 0);
  CHECK(told.err.find("guessed") == std::string::npos);
  CHECK(exported.err.find(warning) != std::string::npos);
}
