// config.json and preprocessor_config.json: what they may say, and how they are refused.
#include "weights/source_config.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "errors.h"
#include "temp_dir.h"

using namespace shear;
using shear::test::sentence;

namespace {

std::string refusal(std::string_view json) {
  return sentence(Fault::input, [&] { parse_config(json, "c"); });
}
std::string preprocessor_refusal(std::string_view json) {
  return sentence(Fault::input, [&] { parse_preprocessor(json, "p", {}); });
}

}  // namespace

TEST_CASE("a config of neither library says nothing") {
  CHECK(parse_config(R"({"name": "x", "hidden_size": 3})", "c").library.empty());
}

TEST_CASE("placeholders are no class names") {
  const SourceConfig c = parse_config(R"({"model_type": "vit", "id2label": {"0": "LABEL_0", "1": "LABEL_1"}})", "c");
  CHECK(c.class_names.empty());
  CHECK(c.classes == 2);
}

TEST_CASE(
    "what a config of BEiT is silent about is as transformers takes it, and timm's arguments go before its table") {
  const SourceConfig silent = parse_config(R"({"model_type": "beit"})", "c");
  CHECK(silent.relative == Relative::none);
  CHECK(silent.positions == Positions::none);
  CHECK(silent.pool == Pool::mean);
  CHECK(silent.last_norm == LastNorm::pooled);
  const SourceConfig said = parse_config(
      R"({"model_type": "data2vec-vision", "use_shared_relative_position_bias": true, "use_mean_pooling": false,
          "use_absolute_position_embeddings": true})",
      "c");
  CHECK(said.relative == Relative::shared);
  CHECK(said.positions == Positions::all);
  CHECK(said.pool == Pool::token);
  CHECK(said.last_norm == LastNorm::tokens);
  const auto of_timm = [](const char* args) {
    return parse_config(text(R"({"architecture": "beit_base_patch16_224", "model_args": )", args, "}"), "c").relative;
  };
  CHECK(of_timm("{}") == Relative::blocks);
  CHECK(of_timm(R"({"use_rel_pos_bias": false, "use_shared_rel_pos_bias": true})") == Relative::shared);
}

TEST_CASE("a config that is broken, or of another model, is refused with its key") {
  CHECK(refusal("{").starts_with("c: is not JSON: "));
  CHECK(refusal("[1]") == "c: the file is [1], expected an object");
  CHECK(refusal(std::string(100, '[')) == "c: is nested more than 32 deep, expected a flat object");
  CHECK(refusal(R"({"model_type": 3})") == "c: model_type is 3, expected a string");
  CHECK(refusal(R"({"model_type": "swin"})") ==
        "c: model_type is \"swin\", expected vit, deit, vit_msn, vit_mae, ijepa, dinov2, dinov2_with_registers, clip, "
        "clip_vision_model, siglip, siglip_vision_model, beit, data2vec-vision");
  CHECK(refusal(R"({"model_type": "vit", "hidden_size": "x"})") == "c: hidden_size is \"x\", expected a whole number");
  CHECK(refusal(R"({"model_type": "vit", "image_size": [224, 0]})") ==
        "c: image_size is [224,0], expected a whole number");
  CHECK(refusal(R"({"model_type": "vit", "hidden_act": "relu"})") ==
        "c: hidden_act is \"relu\", expected gelu, its tanh approximation or quick_gelu");
  CHECK(refusal(R"({"model_type": "vit", "layer_norm_eps": 0})") ==
        "c: layer_norm_eps is 0.0, expected a number from 0 to 1");
  CHECK(refusal(R"({"model_type": "vit", "id2label": {"0": "a", "2": "b"}})") ==
        "c: id2label has no entry 1, expected 2 from 0 on");
  CHECK(refusal(R"({"architecture": "resnet50"})") ==
        "c: architecture is \"resnet50\", expected a plain ViT, such as vit_base_patch16_224");
  CHECK(refusal(R"({"architecture": "vit_base_patch16_224", "global_pool": "max"})") ==
        "c: global_pool is \"max\", expected \"token\", \"avg\" or \"map\"");
  CHECK(refusal(R"({"architecture": "vit_base_patch16_224", "pretrained_cfg": {"crop_pct": -1}})") ==
        "c: crop_pct is -1, expected more than 0");
  CHECK(refusal(R"({"architecture": "vit_base_patch16_224", "pretrained_cfg": {"std": [1, 0, 1]}})") ==
        "c: std is [1,0,1], expected 1 or 3 numbers above 0");
}

TEST_CASE("a preprocessor squashes, or resizes the shorter side and cuts the centre") {
  const Preprocess squash = parse_preprocessor(R"({"size": {"height": 224, "width": 224}, "resample": 3})", "p", {});
  CHECK(squash.fit == Fit::both);
  CHECK(squash.interpolation == Interpolation::bicubic);
  const Preprocess old = parse_preprocessor(R"({"size": 224, "resample": 2})", "p", {});
  CHECK(old.fit == Fit::both);
  CHECK(old.interpolation == Interpolation::bilinear);
  const Preprocess cut = parse_preprocessor(
      R"({"size": {"shortest_edge": 248}, "do_center_crop": true, "crop_size": {"height": 224, "width": 224}})", "p",
      {});
  CHECK(cut.fit == Fit::shorter);
  CHECK(cut.image == 224);
  CHECK(resized_side(cut) == 248);
  const Preprocess uncut = parse_preprocessor(R"({"size": {"shortest_edge": 248}, "do_center_crop": true})", "p", {});
  CHECK(uncut.fit == Fit::shorter);
  CHECK(uncut.crop == 1.f);
  const Preprocess plain = parse_preprocessor(R"({"do_normalize": false})", "p", {});
  CHECK(plain.mean == std::array{0.f, 0.f, 0.f});
  CHECK(plain.std == std::array{1.f, 1.f, 1.f});
  CHECK(preprocessor_refusal(R"({"resample": 0})") ==
        "p: resample is 0, expected 1 (lanczos), 2 (bilinear), 3 (bicubic), 4 (box) or 5 (hamming)");
  CHECK(preprocessor_refusal(R"({"rescale_factor": 0})") ==
        "p: rescale_factor is 0.0, expected a number from 1e-6 to 1e6");
  CHECK(preprocessor_refusal(R"({"image_mean": [1, 2]})") == "p: image_mean is [1,2], expected 1 or 3 numbers");
  CHECK(preprocessor_refusal(R"({"do_resize": 1, "do_rescale": "x"})") ==
        "p: do_rescale is \"x\", expected true or false");
}

TEST_CASE("a preprocessor that Shear cannot follow to the pixel is refused") {
  for (const char* key : {"do_pad", "do_flip_channel_order", "use_square_size"})
    CHECK(preprocessor_refusal(text("{\"", key, "\": true}")) == text("p: ", key, " is true, expected false"));
  const std::string size = ", expected one number above 0, equal height and width, or shortest_edge";
  for (const char* found : {"{\"height\":224,\"width\":225}", "{\"longest_edge\":224}", "{}", "{\"height\":224}", "0",
                            "{\"longest_edge\":256,\"shortest_edge\":224}", "\"224\""})
    CHECK(preprocessor_refusal(text("{\"size\": ", found, "}")) == text("p: size is ", found, size));
  CHECK(preprocessor_refusal(R"({"size": [224, 225]})") == "p: size is [224,225], expected a whole number");
  CHECK(preprocessor_refusal(R"({"size": 224, "do_center_crop": true, "crop_size": {"shortest_edge": 200}})") ==
        "p: crop_size is {\"shortest_edge\":200}, expected one number or equal height and width");
  CHECK(preprocessor_refusal(R"({"do_resize": false, "do_center_crop": true})") ==
        "p: do_center_crop is true, expected a crop_size beside it");
  for (const char* type : {"Siglip2ImageProcessor", "DINOv3ViTImageProcessorFast", "ViT", "ImageProcessor",
                           "EfficientNetImageProcessorFast"})
    CHECK(preprocessor_refusal(text("{\"image_processor_type\": \"", type, "\"}")) ==
          text("p: image_processor_type is \"", type,
               "\", expected the processor of ViT, DeiT, CLIP, Bit, Siglip, Beit or ConvNext"));
  CHECK(preprocessor_refusal(R"({"feature_extractor_type": "ConvNextFeatureExtractor", "size": 200, "crop_pct": 0})") ==
        "p: crop_pct is 0.0, expected more than 0 and at most 1");
}

TEST_CASE("what a file leaves out is as the processor that it names has it") {
  const Preprocess clip =
      parse_preprocessor(R"({"feature_extractor_type": "CLIPFeatureExtractor", "size": 256})", "p", {});
  CHECK(clip.fit == Fit::shorter);
  CHECK(resized_side(clip) == 256);
  CHECK(clip.image == 224);
  CHECK(clip.mean[0] == 0.48145466f);
  CHECK(clip.interpolation == Interpolation::bicubic);
  const Preprocess vit = parse_preprocessor(R"({"image_processor_type": "ViTImageProcessorFast"})", "p", {});
  CHECK(vit.fit == Fit::both);
  CHECK(vit.image == 224);
  CHECK(vit.interpolation == Interpolation::bilinear);
  // The size that a file is for is the model's where it does not say one.
  CHECK(parse_preprocessor(R"({"resample": 3})", "p", {.image = 0}).image == 0);
}

TEST_CASE("a size of one number is of both sides or of the shorter one, by the processor") {
  const auto read = [](const char* type) {
    return parse_preprocessor(text("{\"image_processor_type\": \"", type, "ImageProcessor\", \"size\": 256}"), "p", {});
  };
  for (const char* type : {"ViT", "DeiT", "Beit"}) CHECK(read(type).fit == Fit::both);
  for (const char* type : {"CLIP", "Bit", "Siglip", "ConvNext"}) CHECK(read(type).fit == Fit::shorter);
  for (const char* type : {"ViT", "Beit", "Siglip", "ConvNext"}) CHECK(read(type).image == 256);
  for (const char* type : {"DeiT", "CLIP", "Bit"}) CHECK(read(type).image == 224);
  CHECK(resized_side(read("DeiT")) == 256);
  CHECK_FALSE(read("Siglip").cut);  // what transformers makes of it is as wide as the image was
}

TEST_CASE("a preprocessor that does not resize, or does not cut, is followed") {
  const Preprocess centre =
      parse_preprocessor(R"({"image_processor_type": "CLIPImageProcessor", "do_resize": false})", "p", {});
  CHECK(centre.fit == Fit::none);
  CHECK(centre.cut);
  CHECK(centre.image == 224);
  const Preprocess as_is = parse_preprocessor(R"({"do_resize": false, "crop_size": "?"})", "p", {});
  CHECK(as_is.fit == Fit::none);
  CHECK_FALSE(as_is.cut);
  CHECK(as_is.image == 0);
  const Preprocess uncut = parse_preprocessor(
      R"({"image_processor_type": "CLIPImageProcessor", "do_center_crop": false, "size": 256})", "p", {});
  CHECK(uncut.fit == Fit::shorter);
  CHECK_FALSE(uncut.cut);
  CHECK(uncut.image == 256);
  const Preprocess squash = parse_preprocessor(
      R"({"image_processor_type": "DeiTImageProcessor", "do_center_crop": false, "size": 256})", "p", {});
  CHECK(squash.fit == Fit::both);
  CHECK(squash.cut);  // nothing is left to cut
  CHECK(squash.image == 256);
}

TEST_CASE("a cut that is larger than what was resized is followed") {
  const Preprocess p = parse_preprocessor(R"({"size": 200, "do_center_crop": true, "crop_size": 224})", "p", {});
  CHECK(p.image == 224);
  CHECK(resized_side(p) == 200);
  CHECK(p.crop == doctest::Approx(1.12));
}

TEST_CASE("a filter is the one that Pillow gives that number") {
  const char* names[] = {"lanczos", "bilinear", "bicubic", "box", "hamming"};
  for (int i = 0; i < 5; ++i)
    CHECK(name(parse_preprocessor(text("{\"resample\": ", i + 1, "}"), "p", {}).interpolation) == names[i]);
}

TEST_CASE("pixels that are not scaled, or by another factor, are normalised to the same values") {
  const auto value = [](const char* json, float pixel) {
    const Preprocess p = parse_preprocessor(json, "p", {});
    return (pixel / 255 - p.mean[1]) / p.std[1];
  };
  CHECK(value(R"({"do_rescale": false, "image_mean": [1, 127.5, 1], "image_std": [1, 63.75, 1]})", 255) ==
        doctest::Approx(2));
  CHECK(value(R"({"do_rescale": false, "rescale_factor": 7, "do_normalize": false})", 200) == doctest::Approx(200));
  CHECK(value(R"({"rescale_factor": 0.00784313725490196, "image_mean": [1, 1, 1], "image_std": [1, 1, 1]})", 255) ==
        doctest::Approx(1));
  CHECK(parse_preprocessor(R"({"rescale_factor": 0.00392156862745098})", "p", {}).std[0] == 0.5f);
  CHECK(preprocessor_refusal(R"({"do_rescale": false, "image_std": [1e-38, 1, 1]})") ==
        "p: rescale_factor is 1.0, expected 1/255, or one that image_mean and image_std allow");
}

TEST_CASE("a file that names no processor is read as the one of its model") {
  const auto read = [](const char* model) { return parse_preprocessor("{}", "p", {.image = 0}, model); };
  CHECK(read("dinov2").fit == Fit::shorter);
  CHECK(read("dinov2_with_registers").mean[0] == 0.48145466f);  // as Bit's processor, whatever DINOv2 was trained with
  CHECK(read("deit").image == 224);
  CHECK(resized_side(read("deit")) == 256);
  CHECK(read("siglip_vision_model").interpolation == Interpolation::bicubic);
  CHECK(read("vit").interpolation == Interpolation::bilinear);
  CHECK(read("unknown").image == 0);
}

TEST_CASE("what processor_config.json says of images is read") {
  const auto p = parse_processor(
      R"({"processor_class": "CLIPProcessor", "image_processor": {"image_processor_type": "CLIPImageProcessor",
          "size": {"shortest_edge": 250}}})",
      "p", {});
  REQUIRE(p);
  CHECK(resized_side(*p) == 250);
  CHECK_FALSE(parse_processor(R"({"processor_class": "CLIPProcessor"})", "p", {}));
  CHECK(sentence(Fault::input, [] { parse_processor(R"({"image_processor": 3})", "p", {}); }) ==
        "p: image_processor is 3, expected an object");
}

TEST_CASE("what timm's config leaves out is as timm has it") {
  const Preprocess p =
      parse_config(R"({"architecture": "vit_tiny_patch16_224", "pretrained_cfg": {"input_size": [3, 224, 224]}})", "c")
          .preprocess.value();
  CHECK(p.mean == std::array{0.485f, 0.456f, 0.406f});
  CHECK(p.std == std::array{0.229f, 0.224f, 0.225f});
  CHECK(p.interpolation == Interpolation::bicubic);
  CHECK(resized_side(p) == 256);  // 0.875
  CHECK(p.fit == Fit::shorter);
}

TEST_CASE("timm's crop_mode and input_size are taken or refused") {
  const auto config = [](const std::string& images) {
    return parse_config("{\"architecture\": \"vit_tiny_patch16_224\", \"pretrained_cfg\": {" + images + "}}", "c")
        .preprocess.value();
  };
  CHECK(config(R"("crop_mode": "border")").fit == Fit::longer);
  CHECK(config(R"("crop_mode": "squash", "crop_pct": 0.9, "input_size": [3, 224, 224])").resize == 248);
  CHECK(config(R"("crop_pct": 0.9)").image == 0);
  CHECK(config(R"("crop_pct": 1.5, "input_size": [3, 224, 224])").resize == 149);
  CHECK(name(config(R"("interpolation": "lanczos")").interpolation) == "lanczos");
  CHECK(refusal(R"({"architecture": "vit_tiny_patch16_224", "pretrained_cfg": {"interpolation": "random"}})") ==
        "c: interpolation is \"random\", expected bilinear, bicubic, lanczos, box or hamming");
  CHECK(refusal(R"({"architecture": "vit_tiny_patch16_224", "pretrained_cfg": {"crop_mode": "smart"}})") ==
        "c: crop_mode is \"smart\", expected center, squash or border");
  CHECK(refusal(R"({"architecture": "vit_tiny_patch16_224", "pretrained_cfg": {"input_size": [3, 224, 0]}})") ==
        "c: input_size is [3,224,0], expected channels and two sides");
  const SourceConfig wide = parse_config(
      R"({"architecture": "vit_tiny_patch16_224", "model_args": {"img_size": [224, 192]}, "pretrained_cfg": {"input_size": [3, 224, 192]}})",
      "c");
  CHECK((wide.image == 224 && wide.width == 192));
  CHECK(!wide.preprocess);
  CHECK(refusal(R"({"architecture": "vit_tiny_patch16_224", "model_args": {"global_pool": "max"}})") ==
        "c: global_pool is \"max\", expected \"token\", \"avg\" or \"map\"");
}

TEST_CASE("whatever is called config.json is read or refused, a pipe at once") {
  const TempDir dir;
  const std::vector<float> values(48);
  write_safetensors(dir / "model.safetensors",
                    std::vector<TensorToWrite>{{"patch_embed.proj.weight", DType::f32, {4, 3, 2, 2}, values.data()}});
  for (const char* name : {"config.json", "preprocessor_config.json"}) {
    const std::filesystem::path path = dir / name;
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
    CHECK(sentence(Fault::input, [&] { const Weights w(dir.path()); }) ==
          text("cannot read ", path.string(), ": it is a device or pipe, expected a file"));
    std::filesystem::remove(path);
    std::filesystem::create_symlink(dir / "nowhere", path);
    CHECK(
        sentence(Fault::input, [&] { const Weights w(dir.path()); }).starts_with(text("cannot read ", path.string())));
    std::filesystem::remove(path);
  }
}

TEST_CASE("a config that contradicts the weights beside it is refused with both") {
  const TempDir dir;
  const std::vector<float> values(48);
  write_safetensors(dir / "model.safetensors",
                    std::vector<TensorToWrite>{{"patch_embed.proj.weight", DType::f32, {4, 3, 2, 2}, values.data()}});
  put(dir / "config.json", R"({"model_type": "vit", "hidden_size": 8})");
  CHECK(sentence(Fault::input, [&] { const Weights w(dir.path()); }) ==
        text((dir / "config.json").string(), ": says 8 values to a token, but the weights in ",
             (dir / "model.safetensors").string(), " have 4, expected the config of these weights"));
}
