// shear export: what was read is what is written, for each library and kind of model.
#include <algorithm>
#include <cmath>
#include <set>

#include "errors.h"
#include "shear/make_backend.h"
#include "shell.h"
#include "tests_dir.h"
#include "vit_of.h"
#include "weights/library_model.h"

using namespace shear;
using namespace shear::test;
namespace fs = std::filesystem;

namespace {

const fs::path families = tests_dir() / "golden" / "families", golden = tests_dir() / "golden" / "weights";

std::map<std::string, std::string> bytes_by_name(const fs::path& path) {
  const std::unique_ptr<TensorFile> file = open_tensors(path);
  std::map<std::string, std::string> tensors;
  for (const TensorView& t : file->tensors())
    tensors[t.name] = text(t.shape) + std::string(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
  return tensors;
}

struct Family {
  std::string name, naming;
  std::string asked{};              // what no file beside the weights says
  std::string file{};               // in the folder
  std::vector<std::string> left{};  // beginnings of names that no classifier uses
};
const std::string sizes = "vit:image=12,patch=4,dim=24,depth=1,heads=3";
const Family all[] = {{"hf_clip", "hf"},          {"hf_clip_projection", "hf"},
                      {"hf_deit", "hf"},          {"hf_deit_teacher", "hf"},
                      {"hf_dinov2", "hf"},        {"hf_dinov2_registers", "hf"},
                      {"hf_dinov2_swiglu", "hf"}, {"hf_ijepa", "hf"},
                      {"hf_msn", "hf"},           {"hf_siglip", "hf", {}, {}, {"vision_model.head."}},
                      {"aimv2", "timm"},          {"beit3", "timm"},
                      {"deit_distilled", "timm"}, {"dinov3", "timm"},
                      {"eva02", "timm"},          {"eva02_tiny", "timm"},
                      {"pe_core", "timm"},        {"res_post", "timm"},
                      {"siglip", "timm"},         {"torchvision", "torchvision", sizes + ",hidden=40", "vit.pth"}};

ExportOptions options_of(const std::string& naming, const std::string& model = {}) {
  ExportOptions options;
  options.naming = naming == "hf"     ? ExportNaming::hugging_face
                   : naming == "timm" ? ExportNaming::timm
                                      : ExportNaming::torchvision;
  options.model = model;
  return options;
}

// transformers writes MSN's blocks without the prefix that it reads them under.
std::string as_read(const std::string& family, const std::string& name) {
  return family == "hf_msn" && name.starts_with("encoder.") ? "vit." + name : name;
}

nlohmann::json json_of(const fs::path& path) { return nlohmann::json::parse(contents(path)); }

// Whatever the file says of its numbers is said again.
void check_config(const nlohmann::json& theirs, const nlohmann::json& ours) {
  // What no classifier depends on, or a default.
  const std::set<std::string> left{"transformers_version", "initializer_factor",    "logit_scale_init_value",
                                   "text_config",          "projection_dim",        "pooler_act",
                                   "pooler_output_size",   "layerscale_value",      "drop_path_rate",
                                   "apply_layernorm",      "out_features",          "out_indices",
                                   "stage_names",          "reshape_hidden_states", "use_mask_token",
                                   "initializer_range",    "vision_use_head",       "encoder_stride",
                                   "pretrained_cfg"};
  for (const auto& [key, value] : theirs.items()) {
    if (left.contains(key)) continue;
    CAPTURE(key);
    REQUIRE(ours.contains(key));
    if (key == "vision_config")
      check_config(value, ours[key]);
    else if (key != "model_args")
      CHECK(ours[key] == value);
  }
}

// Parameters by our names.
std::map<std::string, std::vector<float>> read_all(const Weights& weights) {
  std::map<std::string, std::vector<float>> values;
  for (const std::string& name : weights.parameters()) values[name] = weights.read(name);
  return values;
}

// The file without the card in its metadata, so that the configs beside it speak.
void strip_card(const fs::path& path) {
  std::vector<std::vector<float>> floats;
  std::vector<TensorToWrite> tensors;
  const TempDir dir;
  fs::rename(path, dir / "whole.safetensors");
  const SafeTensors file(dir / "whole.safetensors");
  for (const TensorView& t : file.tensors()) tensors.push_back({t.name, t.dtype, t.shape, t.bytes.data()});
  write_safetensors(path, tensors);
}

std::vector<float> logits(const Weights& weights, const std::string& asked) {
  const SafeTensors expected(families / "expected.safetensors");
  const VitConfig config = vit_of(weights, asked);
  Device device(make_cpu_backend(1));
  Vit model(device, config, 1, Values::undefined);
  load_weights(weights, model.parameters(), {});
  Tape tape(device);
  const Tensor x = device.upload({2, 3, 12, 12}, Category::workspace, read_floats(expected, *expected.find("images")));
  return device.download(model(tape, x));
}

}  // namespace

TEST_CASE("an export of what was read is the file that was read, tensor by tensor, and its config says what it said") {
  for (const Family& family : all) {
    CAPTURE(family.name);
    const TempDir dir;
    const fs::path folder = families / family.name,
                   file = family.file.empty() ? folder / "model.safetensors" : folder / family.file;
    const Weights weights(file);
    export_weights(weights, dir / "out", options_of(family.naming, family.asked));
    const auto found = bytes_by_name(dir / "out");
    std::set<std::string> wanted;
    for (const auto& [name, bytes] : bytes_by_name(file)) {
      if (std::any_of(family.left.begin(), family.left.end(),
                      [&](const auto& begin) { return name.starts_with(begin); }))
        continue;
      CAPTURE(name);
      wanted.insert(as_read(family.name, name));
      REQUIRE(found.contains(as_read(family.name, name)));
      CHECK((found.at(as_read(family.name, name)) == bytes));
    }
    for (const auto& [name, bytes] : found) CHECK_MESSAGE(wanted.contains(name), name);
    if (!fs::exists(folder / "config.json")) {
      CHECK_FALSE(fs::exists(dir / "out" / "config.json"));
      continue;
    }
    check_config(json_of(folder / "config.json"), json_of(dir / "out" / "config.json"));
  }
}

TEST_CASE("an export under any library's names computes the same, whether its card or its configs are read") {
  int written = 0;
  for (const Family& family : all)
    for (const std::string naming : {"hf", "timm", "torchvision"}) {
      CAPTURE(family.name);
      CAPTURE(naming);
      const TempDir dir;
      const fs::path folder = families / family.name;
      const Weights weights(family.file.empty() ? folder / "model.safetensors" : folder / family.file);
      try {
        export_weights(weights, dir / "out", options_of(naming, family.asked));
      } catch (const Error& e) {
        CHECK(e.fault() == Fault::usage);
        CHECK(std::string(e.what()).starts_with("--naming: "));
        CHECK(naming != family.naming);
        continue;
      }
      ++written;
      const std::vector<float> before = logits(weights, family.asked);
      const Weights carded(dir / "out");
      // Zeros in the place of what the weights lack change no bit of a logit but by the order of additions.
      const std::vector<float> after = logits(carded, {});
      for (size_t i = 0; i < before.size(); ++i) CHECK(std::fabs(before[i] - after[i]) < 2e-6f);
      const auto tensors = read_all(carded);
      const std::string model = carded.model()->str();
      if (naming == "torchvision") continue;  // no file beside the weights is its
      strip_card(dir / "out" / "model.safetensors");
      const Weights bare(dir / "out");
      CHECK((read_all(bare) == tensors));
      const std::vector<float> by_config = logits(bare, {});
      // timm's configs cannot say every epsilon.
      for (size_t i = 0; i < before.size(); ++i) CHECK(std::fabs(by_config[i] - after[i]) < 1e-5f);
      if (parse_vit(model).epsilon >= 1e-6f) CHECK(bare.model()->str() == model);
    }
  CHECK(written > 30);
}

TEST_CASE("a model of Hugging Face's is fine-tuned and exported as what it was") {
  Shell shear;
  write_idx(shear.dir / "data");
  for (const auto& [family, kind] : {std::pair{"hf_msn", "ViTMSNForImageClassification"},
                                     {"hf_siglip", "SiglipForImageClassification"},
                                     {"hf_ijepa", "IJepaForImageClassification"}}) {
    CAPTURE(family);
    const Weights weights(families / family);
    CHECK(weights.kind() == json_of(families / family / "config.json")["model_type"]);
    ModelCard card{weights.model()->str(), {}, weights.preprocess(*weights.model()), weights.kind()};
    // As a run leaves it: under our own names, with a card and no file beside.
    Device device(make_cpu_backend(1));
    Vit model(device, vit_of(weights), 1, Values::undefined);
    load_weights(weights, model.parameters(), {});
    save_weights(shear.dir / "run.safetensors", model.parameters(), to_metadata(card));
    const std::string out = shear.path(family);
    REQUIRE(shear({"export", "--weights", shear.path("run.safetensors"), "--naming", "hf", "--out", out}).status == 0);
    CHECK(json_of(fs::path(out) / "config.json")["architectures"] == nlohmann::json{kind});
  }
}

TEST_CASE("zeros stand for what the library has and the weights lack") {
  // A projection without a bias, biases of queries and values alone, positions of the patches alone.
  const TempDir dir;
  const Weights clip(families / "open_clip" / "open_clip_model.safetensors");
  export_weights(clip, dir / "clip", options_of("timm", sizes + ",eps=1e-5,patch-bias=0,norm-before=1,head-bias=0"));
  const Weights headed(dir / "clip");
  CHECK(headed.read("head.bias") == std::vector<float>(5, 0));
  CHECK(json_of(dir / "clip" / "config.json")["architecture"] == "vit_base_patch16_clip_224");
  CHECK(headed.read("cls_token") == clip.read("cls_token"));

  VitConfig c = parse_vit(sizes + ",classes=5,positions=patches,registers=2,layer-scale=1,pool=token-and-mean");
  const LibraryModel dinov2 = hugging_face_model(c, {}, {}, DType::f32);
  CHECK(dinov2.json["model_type"] == "dinov2_with_registers");
  CHECK(dinov2.json["num_register_tokens"] == 2);
  CHECK(dinov2.config.positioned() == 10);
  CHECK(stands_for(dinov2.config, c));
  c.positions = Positions::all;  // registers have none there
  CHECK(sentence(Fault::usage, [&] { hugging_face_model(c, {}, {}, DType::f32); }).find("registers") !=
        std::string::npos);
}

TEST_CASE("every architecture of timm's that has a name is exported under it, without arguments that repeat it") {
  for (const std::string& name : vit_family().known) {
    CAPTURE(name);
    const VitConfig c = parse_vit(name);
    if (c.width > 0) {
      CHECK(sentence(Fault::usage, [&] { timm_model(c, {}, {}, {}); }).find("not square") != std::string::npos);
      continue;
    }
    const LibraryModel m = timm_model(c, {}, {}, {});
    CHECK(parse_vit(m.json["architecture"].get<std::string>()) == c);
    CHECK_FALSE(m.json.contains("model_args"));
    CHECK(m.config == c);
    CHECK(m.notes.empty());
  }
}

TEST_CASE("what a library has no model for is refused in one sentence") {
  const auto refused = [](const std::string& more, bool hugging_face) {
    return sentence(Fault::usage, [&] {
      const VitConfig c = parse_vit(sizes + ",classes=5," + more);
      if (hugging_face)
        hugging_face_model(c, {}, {}, DType::f32);
      else
        timm_model(c, {}, {}, {});
    });
  };
  const auto has = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  CHECK(refused("pool=token-and-mean,layer-scale=1", false) ==
        "--naming: timm has no head on the class token and the mean, as these weights have, expected --naming none");
  CHECK(has(refused("eps=1e-3", false), "norm of such an epsilon"));
  CHECK(has(refused("norm-before=1", false), "bias of the patches and the norm before the blocks"));
  CHECK(has(refused("norm-after=1,layer-scale=1", false), "norm behind each branch"));
  CHECK(has(refused("rope=index,rms-norm=1", false), "rotary positions beside RMSNorm"));
  CHECK(
      refused("rope=index", true) ==
      "--naming: transformers has no classifier with rotary positions, as these weights have, expected --naming timm");
  CHECK(has(refused("layer-scale=1", true), "by the class token alone with LayerScale"));
  CHECK(has(refused("layer-scale=1,pool=token-and-mean,hidden=40", true), "DINOv2 with an MLP of such a width"));
  CHECK(has(refused("cls=0,pool=attention", true), "pools by attention"));
  CHECK(has(refused("norm-before=1,patch-bias=0", true), "CLIP's class token with a bias"));
}
