// Weights of timm, Hugging Face and Google: each file of tests/golden/weights computes here what its library computes.
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
using shear::test::sentence;
namespace fs = std::filesystem;

namespace {

const fs::path golden = tests_dir() / "golden" / "weights";

const SafeTensors& expected() {
  static const SafeTensors file(golden / "expected.safetensors");
  return file;
}

std::vector<float> expected(const std::string& name) {
  const TensorView* t = expected().find(name);
  REQUIRE_MESSAGE(t, name);
  return read_floats(expected(), *t);
}

// The logits of the weights on the golden image of that size.
std::vector<float> logits(const Weights& weights, const VitConfig& config,
                          std::optional<PositionResize> positions = {}) {
  Device device(make_cpu_backend(1));
  Vit model(device, config, 1, Values::undefined);
  // stored.npz has a layer before its head that does nothing.
  load_weights(weights, model.parameters(), {.positions = positions, .allow_mismatch = true});
  const int64_t size = config.image;
  const Tensor images =
      device.upload({1, 3, size, size}, Category::workspace, expected("images." + std::to_string(size)));
  Tape tape(device);
  return device.download(model(tape, images));
}

double worst(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    most = d <= most ? most : d;  // nan wins, and stays
  }
  return most;
}

constexpr double tolerance = 1e-4;

}  // namespace

TEST_CASE("logits of timm's, Hugging Face's and Google's files are those of their libraries") {
  struct Case {
    const char *file, *source, *logits;
  };
  for (const auto& [file, source, name] :
       {Case{"timm/model.safetensors", "timm", "timm"}, Case{"hf/model.safetensors", "Hugging Face", "hf"},
        Case{"hf", "Hugging Face", "hf"},  // the directory
        Case{"hf5", "Hugging Face", "hf5"}, Case{"stored.npz", "Google", "google"},
        Case{"deflated.npz", "Google", "google"}, Case{"zip64.npz", "Google", "google"},
        Case{"big_vision.npz", "Google", "big_vision"}, Case{"stacked.npz", "Google", "big_vision"}}) {
    CAPTURE(file);
    const Weights weights(golden / file);
    CHECK(weights.source() == source);
    const VitConfig model = vit_of(weights);
    VitConfig same = model;
    same.epsilon = 1e-6f;
    same.gelu = GeluForm::exact;
    same.positions = Positions::all;  // of the patches alone in big_vision
    CHECK(spec(same) == "vit:image=12,patch=4,dim=12,depth=2,heads=3,classes=5,channels=3,mlp=2");
    CHECK(worst(logits(weights, model), expected(std::string("logits.") + name)) < tolerance);
  }
}

TEST_CASE("at another image size, positions are resized as the weights' library does, or as asked") {
  for (const auto& [file, name] :
       {std::pair{"timm", "timm"}, {"hf", "hf"}, {"stored.npz", "google"}, {"big_vision.npz", "big_vision"}}) {
    CAPTURE(name);
    const Weights weights(golden / file);
    const std::vector<float> theirs = expected(text("logits.", name, ".20"));
    CHECK(worst(logits(weights, vit_of(weights, {}, 20)), theirs) < tolerance);
    CHECK(worst(logits(weights, vit_of(weights, {}, 20), PositionResize::bilinear), theirs) > 1e-3);
  }
  // timm reads Google's files with an exact GELU and resizes them its own way.
  const Weights google(golden / "stored.npz");
  VitConfig exact = vit_of(google, {}, 20);
  exact.gelu = GeluForm::exact;
  CHECK(worst(logits(google, exact, PositionResize::bilinear), expected("logits.timm_npz.20")) < tolerance);
  exact.image = 12;
  CHECK(worst(logits(google, exact), expected("logits.timm_npz")) < tolerance);
  CHECK(sentence(Fault::usage, [&] { google.model({}, 21); }) ==
        "--image-size 21: expected a multiple of the patch's side, 4");
}

TEST_CASE("epsilon, GELU, preprocessing and classes are those of the configs, or else of the library") {
  const Weights timm(golden / "timm"), hf(golden / "hf"), hf5(golden / "hf5"), google(golden / "stored.npz");
  CHECK(vit_of(timm).epsilon == 1e-6f);
  CHECK(vit_of(timm).gelu == GeluForm::exact);
  CHECK(vit_of(hf).epsilon == 1e-12f);
  CHECK(vit_of(hf5).epsilon == 1e-3f);
  CHECK(vit_of(hf5).gelu == GeluForm::tanh);
  CHECK(vit_of(google).gelu == GeluForm::tanh);
  CHECK(spec(vit_of(hf5)).ends_with(",eps=0.001,gelu=tanh"));
  CHECK(parse_vit(spec(vit_of(hf))) == vit_of(hf));
  const std::vector<std::string> names{"cat", "dog", "yak", "\u00e9t\u00e9", "a, b"};
  CHECK(timm.class_names() == names);
  CHECK(hf.class_names() == names);
  CHECK(google.class_names().empty());

  const Preprocess t = timm.preprocess(*timm.model()), h = hf.preprocess(*hf.model()),
                   g = google.preprocess(*google.model());
  CHECK(t.interpolation == Interpolation::bicubic);
  CHECK(t.crop == 0.9f);
  CHECK(t.fit == Fit::shorter);
  CHECK(t.halves == Halves::even);
  CHECK(resized_side(t) == 13);
  CHECK(resized_side(timm.preprocess(*timm.model({}, 20))) == 22);  // 20 / 0.9: the share stays
  CHECK(h.interpolation == Interpolation::bilinear);
  CHECK(h.fit == Fit::both);
  CHECK(h.halves == Halves::down);
  CHECK(resized_side(h) == 12);
  CHECK(h.mean == std::array{0.4f, 0.5f, 0.6f});
  CHECK(g.fit == Fit::both);
  CHECK(g.mean == std::array{0.5f, 0.5f, 0.5f});
  CHECK(h.image == 12);

  const std::vector<std::string> lines = hf5.describe(*hf5.model(), hf5.preprocess(*hf5.model()));
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] ==
        text((golden / "hf5/model.safetensors").string(),
             ": Hugging Face's names behind \"vit.\", 40 tensors; 3 heads; LayerNorm epsilon 0.001 and GELU "
             "by tanh, from ",
             (golden / "hf5/config.json").string()));
  CHECK(lines[1] == "images: 12 x 12, bilinear, squashed, mean 0.5, std 0.5, by Hugging Face's convention");
}

TEST_CASE("a preprocessor that makes images of another size than the model's is refused, where nobody says a size") {
  const TempDir dir;
  fs::copy(golden / "hf", dir / "hf");
  put(dir / "hf/preprocessor_config.json", R"({"image_processor_type": "ViTImageProcessor", "size": 16})");
  const Weights weights(dir / "hf");
  CHECK(sentence(Fault::input, [&] { weights.model(); }) ==
        text((dir / "hf/preprocessor_config.json").string(), ": makes images of 16 pixels, but the model in ",
             (dir / "hf/model.safetensors").string(), " is for 12, expected the same, or --image-size 16 or 12"));
  CHECK(vit_of(weights, {}, 16).image == 16);
  CHECK(vit_of(weights, {}, 12).image == 12);
  // processor_config.json goes first, as in transformers, if it says anything of images.
  put(dir / "hf/processor_config.json", R"({"processor_class": "CLIPProcessor"})");
  CHECK(sentence(Fault::input, [&] { Weights(dir / "hf").model(); }).find(": makes images of 16") != std::string::npos);
  put(dir / "hf/processor_config.json",
      R"({"image_processor": {"image_processor_type": "CLIPImageProcessor", "size": 15, "crop_size": 12}})");
  const Weights nested(dir / "hf");
  CHECK(vit_of(nested).image == 12);
  const Preprocess p = nested.preprocess(*nested.model());
  CHECK(resized_side(p) == 15);
  CHECK(p.fit == Fit::shorter);
  CHECK(nested.describe(*nested.model(), p)[1] ==
        text("images: 12 x 12, bicubic, the centre 0.8 of the shorter side, mean 0.481455, 0.457828, 0.408211, std "
             "0.26863, 0.261303, 0.275777, from ",
             (dir / "hf/processor_config.json").string()));
}

TEST_CASE("DINOv2 of Hugging Face is for the size that its preprocessor makes") {
  const TempDir dir;
  fs::copy(tests_dir() / "golden/families/hf_dinov2", dir / "dinov2");
  CHECK(vit_of(Weights(dir / "dinov2")).image == 12);
  put(dir / "dinov2/preprocessor_config.json",
      R"({"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 10}, "crop_size": 8})");
  const Weights weights(dir / "dinov2");
  CHECK(vit_of(weights).image == 8);
  CHECK(resized_side(weights.preprocess(*weights.model())) == 10);
  CHECK(vit_of(weights, {}, 16).image == 16);  // the share of the centre stays: 8 of 10
  CHECK(resized_side(weights.preprocess(*weights.model({}, 16))) == 20);
}

TEST_CASE("where no file says it, pixels are normalised as the library of the names does with most of its weights") {
  const fs::path families = tests_dir() / "golden/families";
  const auto mean = [&](const char* file, const char* asked) {
    const Weights weights(families / file);
    return weights.preprocess(*weights.model(asked)).mean[0];
  };
  CHECK(mean("torchvision/vit.pth", "vit:image=12,patch=4,dim=24,depth=1,heads=3,hidden=40") == 0.485f);
  CHECK(mean("open_clip/open_clip_model.safetensors",
             "vit:image=12,patch=4,dim=24,depth=1,heads=3,eps=1e-5,patch-bias=0,norm-before=1,head-bias=0") ==
        0.48145466f);
  CHECK(mean("hf_clip", "") == 0.48145466f);
  CHECK(mean("hf_dinov2", "") == 0.485f);
  CHECK(mean("hf_siglip", "") == 0.5f);
}

TEST_CASE("how images are prepared is said in one line") {
  const Weights hf(golden / "hf");
  const auto said = [&](Preprocess p) {
    p.image = 12;
    const std::string line = hf.describe(*hf.model(), p)[1];
    const size_t first = line.find("bicubic, ") + 9;
    return line.substr(first, line.find(", mean") - first);
  };
  CHECK(said({.crop = 1}) == "the centre of the shorter side");
  CHECK(said({.crop = 0.8f}) == "the centre 0.8 of the shorter side");
  CHECK(said({.resize = 9}) == "the shorter side to 9 pixels on black");
  CHECK(said({.crop = 1, .cut = false}) == "the shorter side to 12, not cut");
  CHECK(said({.fit = Fit::both, .crop = 1}) == "squashed");
  CHECK(said({.fit = Fit::both, .resize = 14}) == "squashed to 14 x 14, the centre of that");
  CHECK(said({.fit = Fit::both, .resize = 9}) == "squashed to 9 pixels on black");
  CHECK(said({.fit = Fit::longer, .crop = 1}) == "the centre of the longer side on the mean colour");
  CHECK(said({.fit = Fit::none}) == "not resized, the centre");
  CHECK(said({.fit = Fit::none, .cut = false}) == "not resized");
}

TEST_CASE("a model that is asked for takes epsilon and GELU from the weights, and must have their heads") {
  const Weights hf5(golden / "hf5");
  const std::string asked = "vit:image=12,patch=4,dim=12,depth=2,mlp=2,heads=";
  CHECK(vit_of(hf5, asked + "3").epsilon == 1e-3f);
  CHECK(vit_of(hf5, asked + "3").classes == 5);
  CHECK(vit_of(hf5, asked + "3,eps=1e-6,gelu=exact").epsilon == 1e-6f);
  CHECK(vit_of(hf5, asked + "3,eps=1e-6,gelu=exact").gelu == GeluForm::exact);
  CHECK(sentence(Fault::input, [&] {
          hf5.model(asked + "2");
        }).ends_with("is for 3 heads, but --model " + asked + "2 has 2, expected the same"));
}

TEST_CASE("weights without a head fine-tune with one of zeros, and are not enough to evaluate") {
  const Weights base(golden / "hf_base");
  Device device(make_cpu_backend(1));
  Vit model(device, vit_of(base, "vit:image=12,patch=4,dim=12,depth=2,mlp=2,heads=3,classes=4"), 1, Values::undefined);
  const WeightsReport report = load_weights(base, model.parameters(), {.matching = Matching::fine_tuning});
  CHECK(report.head == HeadFrom::zero);
  CHECK(report.missing.empty());
  CHECK(report.unused.empty());
  CHECK(report.notes ==
        std::vector<std::string>{text(base.path().string(), ": there is no head; the new one begins at zero"),
                                 text(base.path().string(),
                                      ": not needed: pooler.dense.bias and 1 more (the pooler, which no "
                                      "classification uses)")});
  for (const char* name : {"head.weight", "head.bias"})
    CHECK(std::ranges::all_of(device.download(model.parameters().find(name)->value), [](float v) { return v == 0; }));
  CHECK(sentence(Fault::input, [&] {
          load_weights(base, model.parameters(), {});
        }).find("head.weight, head.bias are not there, expected all") != std::string::npos);
}

TEST_CASE("what a gradient is called and how it lies is as in the file") {
  for (const char* file : {"hf", "stored.npz", "stacked.npz"}) {
    CAPTURE(file);
    const Weights weights(golden / file);
    std::map<std::string, Weights::Named> back;
    for (const std::string& name : weights.parameters())
      weights.give_back(name, weights.shape(name), weights.read(name), back);
    const std::vector<Unused>& unused = weights.unused();
    CHECK(back.size() + unused.size() == weights.file().tensors().size());
    for (const TensorView& t : weights.file().tensors()) {
      if (std::ranges::any_of(unused, [&](const Unused& u) { return u.name == t.name; })) continue;
      CAPTURE(t.name);
      REQUIRE(back.contains(t.name));
      CHECK(back[t.name].shape == t.shape);
      CHECK(back[t.name].values == read_floats(weights.file(), t));
    }
  }
}

TEST_CASE("a file whose names are of no known source is refused with one of them") {
  const TempDir dir;
  const float one = 1;
  const auto refusal = [&](const std::vector<TensorToWrite>& tensors) {
    write_safetensors(dir / "w.safetensors", tensors);
    return sentence(Fault::input, [&] { const Weights w(dir / "w.safetensors"); })
        .substr((dir / "w.safetensors: ").string().size());
  };
  const std::string known =
      " is called as in a ViT of timm (cls_token), Hugging Face (vit.embeddings.cls_token), OpenCLIP "
      "(visual.class_embedding), torchvision (class_token) or Google (cls)";
  CHECK(refusal({{"model.conv1.weight", DType::f32, {1}, &one}}) ==
        "none of its 1 tensors, such as \"model.conv1.weight\"," + known);
  CHECK(refusal({}) == "none of its 0 tensors" + known);
  CHECK(refusal({{"blocks.256.norm1.bias", DType::f32, {1}, &one}}) ==
        "\"blocks.256.norm1.bias\" is of block 256, expected at most 255");
  CHECK(
      refusal({{"vit.layers.0.attention.q_proj.bias", DType::f32, {1}, &one}}) ==
      "blocks.0.attn.qkv.bias has no more than \"vit.layers.0.attention.q_proj.bias\", expected query, key and value");
  CHECK(refusal({{"cls", DType::f32, {1}, &one},
                 {"Transformer/encoderblock_0/LayerNorm_1/bias", DType::f32, {1}, &one},
                 {"Transformer/encoderblock_0/LayerNorm_2/bias", DType::f32, {1}, &one}}) ==
        "\"Transformer/encoderblock_0/LayerNorm_1/bias\" and \"Transformer/encoderblock_0/LayerNorm_2/bias\" are both "
        "blocks.0.norm2.bias, expected one of them");
  const std::vector<float> many(64);
  CHECK(refusal({{"patch_embed.proj.weight", DType::f32, {2, 1, 2, 4}, many.data()}}) ==
        "patch_embed.proj.weight has patches of 2 x 4, expected square ones");
  CHECK(refusal({{"pos_embed", DType::f32, {1, 7, 2}, many.data()}}) ==
        "pos_embed has 7 positions, expected a square grid, and one for the class token");
  CHECK(
      refusal({{"Transformer/encoderblock_0/MlpBlock_3/Dense_0/kernel", DType::f32, {2}, many.data()}}) ==
      "\"Transformer/encoderblock_0/MlpBlock_3/Dense_0/kernel\" has the shape (2), which is not that of such a tensor "
      "in Google's files");
}

TEST_CASE("what is not told by the weights is asked for") {
  const TempDir dir;
  const float one = 1;
  write_safetensors(dir / "w.safetensors", std::vector<TensorToWrite>{{"cls_token", DType::f32, {1, 1, 1}, &one}});
  const Weights weights(dir / "w.safetensors");
  CHECK(sentence(Fault::usage, [&] { weights.model(); }) ==
        text("--model is missing: ", (dir / "w.safetensors").string(),
             " does not say what it is for, expected a name such as vit_tiny_patch16_224"));
}
