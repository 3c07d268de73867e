// open_clip_config.json: what it says is taken, and nothing is guessed; what Shear's ViT is not is refused.
#include <doctest/doctest.h>

#include "errors.h"
#include "shear/make_backend.h"
#include "temp_dir.h"
#include "tests_dir.h"
#include "vit_of.h"
#include "weights/source_config.h"

using namespace shear;
using namespace shear::test;
namespace fs = std::filesystem;

namespace {

const fs::path weights = tests_dir() / "golden" / "families" / "open_clip" / "open_clip_model.safetensors";

std::string config_of(const std::string& vision, const std::string& more = {}, const std::string& images = {}) {
  return "{\"model_cfg\": {\"embed_dim\": 5, \"vision_cfg\": {" + vision + "}" + more + "}" +
         (images.empty() ? "" : ", \"preprocess_cfg\": {" + images + "}") + "}";
}
const std::string tiny = R"("image_size": 12, "layers": 1, "width": 24, "head_width": 8, "patch_size": 4)";

std::string refusal(const std::string& vision, const std::string& more = {}, const std::string& images = {}) {
  return sentence(Fault::input, [&] { parse_open_clip_config(config_of(vision, more, images), "c"); });
}

}  // namespace

TEST_CASE("OpenCLIP's config says the heads, the GELU and the images, and no guess is left") {
  const TempDir dir;
  fs::copy(weights, dir / "open_clip_model.safetensors");
  put(dir / "open_clip_config.json",
      config_of(
          tiny, ", \"quick_gelu\": true",
          R"("mean": [0.5, 0.25, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bilinear", "resize_mode": "squash")"));
  // Another library's config beside it, as on the hub, is of other weights.
  put(dir / "config.json", R"({"model_type": "clip", "vision_config": {"hidden_size": 99}})");
  const Weights read(dir / "open_clip_model.safetensors");
  const VitConfig c = vit_of(read);
  CHECK(spec(c) ==
        "vit:image=12,patch=4,dim=24,depth=1,heads=3,classes=5,channels=3,mlp=4,eps=1e-05,gelu=quick,patch-bias=0,"
        "head-bias=0,norm-before=1");
  CHECK(read.heads_guess(*read.model(), {}).empty());
  const Preprocess p = read.preprocess(*read.model());
  CHECK(p.image == 12);
  CHECK(p.fit == Fit::both);
  CHECK(p.mean[1] == 0.25f);
  CHECK(p.interpolation == Interpolation::bilinear);
  CHECK(resized_side(p) == 12);
}

TEST_CASE("a config of OpenCLIP that contradicts its weights is refused") {
  const TempDir dir;
  fs::copy(weights, dir / "open_clip_model.safetensors");
  put(dir / "open_clip_config.json",
      config_of(R"("image_size": 12, "layers": 2, "width": 24, "head_width": 8, "patch_size": 4)"));
  CHECK(sentence(Fault::input, [&] {
          const Weights w(dir / "open_clip_model.safetensors");
        }).find("says 2 blocks, but") != std::string::npos);
}

TEST_CASE("what OpenCLIP's config leaves out is as OpenCLIP has it") {
  const SourceConfig c = parse_open_clip_config(R"({"vision_cfg": {}})", "c");  // as its own list of models has them
  CHECK(c.library == "OpenCLIP");
  CHECK(c.image == 224);
  CHECK(c.patch == 16);
  CHECK(c.heads == 12);
  CHECK(c.hidden == 3072);
  CHECK(c.epsilon == 1e-5f);
  CHECK(c.gelu == GeluForm::exact);
  CHECK(c.preprocess->mean[0] == 0.48145466f);
  CHECK(c.preprocess->interpolation == Interpolation::bicubic);
  CHECK(c.preprocess->fit == Fit::shorter);
  CHECK(resized_side(*c.preprocess) == 224);
  CHECK(parse_open_clip_config(config_of(R"("act_kwargs": {"approximate": "tanh"}, "norm_kwargs": {"eps": 1e-6})"), "c")
            .gelu == GeluForm::tanh);
}

TEST_CASE("a tower of timm's is the architecture that OpenCLIP's config names, pooled as it says") {
  const auto of = [](const char* name, const char* pool) {
    return parse_open_clip_config(config_of(text("\"timm_model_name\": \"", name, "\", \"timm_pool\": \"", pool, "\"")),
                                  "c");
  };
  const SourceConfig siglip = of("vit_base_patch16_siglip_224", "map");
  CHECK(siglip.heads == 12);
  CHECK(siglip.pool == Pool::attention);
  CHECK(siglip.epsilon == 1e-6f);
  CHECK(of("eva02_base_patch16_clip_224", "token").usual->rope == Rope::index);
  CHECK(of("eva02_base_patch16_clip_224", "token").pool == Pool::token);
  CHECK(of("vit_pe_core_base_patch16_224", "").pool == Pool::attention_all);
  CHECK(refusal(R"("timm_model_name": "convnext_base")") ==
        "c: timm_model_name is \"convnext_base\", expected a plain ViT, such as vit_base_patch16_siglip_224");
  CHECK(refusal(R"("timm_model_name": "vit_base_patch16_224", "timm_pool": "abs_attn")") ==
        "c: timm_pool is \"abs_attn\", expected \"token\", \"avg\", \"map\" or nothing");
}

TEST_CASE("of a tower of timm's the config of OpenCLIP is taken, whatever stands beside it") {
  Device device(make_cpu_backend(1));
  Vit model(device, parse_vit("test_vit3:classes=1"), 1);  // registers that its attention pools too
  std::vector<std::vector<float>> values;
  std::vector<TensorToWrite> tensors;
  for (const Param& p : model.parameters()) {
    values.push_back(device.download(p.value));
    if (!p.head) tensors.push_back({"visual.trunk." + p.name, DType::f32, p.value.shape(), values.back().data()});
  }
  const TempDir dir;
  write_safetensors(dir / "open_clip_model.safetensors", tensors);
  put(dir / "config.json", R"({"architecture": "vit_base_patch16_224"})");
  put(dir / "open_clip_config.json",
      config_of(R"("timm_model_name": "test_vit3", "timm_pool": "map", "image_size": 160)"));
  const Weights read(dir / "open_clip_model.safetensors");
  CHECK(vit_of(read) == model.config());
  CHECK(read.heads_guess(*read.model(), {}).empty());
  put(dir / "open_clip_config.json", config_of(R"("timm_model_name": "test_vit2", "image_size": 160)"));
  CHECK(sentence(Fault::input, [&] {
          const Weights w(dir / "open_clip_model.safetensors");
        }).find("expected the config") != std::string::npos);
}

TEST_CASE("what Shear's ViT does not have, OpenCLIP's config is refused for") {
  CHECK(sentence(Fault::input, [] { parse_open_clip_config("{}", "c"); }) ==
        "c: vision_cfg is null, expected the image tower's numbers");
  CHECK(refusal(R"("layers": [3, 4, 6, 3])") == "c: layers is [3,4,6,3], expected a whole number");
  CHECK(refusal(R"("attentional_pool": true)") == "c: attentional_pool is true, expected false");
  CHECK(refusal(R"("scale_fc": true)") == "c: scale_fc is true, expected false");
  CHECK(refusal(R"("pool_type": "avg")") == "c: pool_type is \"avg\", expected tok");
  CHECK(refusal(R"("pos_embed_type": "sin_cos_2d")") == "c: pos_embed_type is \"sin_cos_2d\", expected learnable");
  CHECK(refusal(R"("head_width": 0)") == "c: head_width is 0, expected from 1 to the width, 768");
  CHECK(refusal(R"("mlp_ratio": 0)") == "c: mlp_ratio is 0.0, expected a number above 0");
  CHECK(refusal(R"("act_kwargs": {"approximate": "tanh"})", ", \"quick_gelu\": true") ==
        "c: act_kwargs is {\"approximate\":\"tanh\"}, expected none");
  CHECK(refusal("", "", R"("resize_mode": "longest")") == "c: resize_mode is \"longest\", expected shortest or squash");
}
