// Reading what stands beside weights: only keys that change what the model computes, or what it is shown.
#include "weights/source_config.h"

#include <algorithm>
#include <cmath>

#include "weights/colours.h"
#include "weights/config_json.h"

namespace shear {

using namespace config;

namespace {

GeluForm gelu_form(const std::string& name, const char* key, const std::string& where) {
  if (name == "gelu") return GeluForm::exact;
  for (const char* tanh : {"gelu_tanh", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_python_tanh"})
    if (name == tanh) return GeluForm::tanh;
  if (name == "quick_gelu") return GeluForm::quick;
  refuse(where, key, name, "gelu, its tanh approximation or quick_gelu");
}

std::vector<std::string> names_by_index(const Json& found, const char* key, const std::string& where) {
  std::vector<std::string> names;
  if (!found.is_array() && !found.is_object()) refuse(where, key, found, "names by index");
  for (size_t i = 0; i < found.size(); ++i) {
    const Json* one = found.is_array() ? &found[i] : find(found, std::to_string(i).c_str());
    if (!one) fail(Fault::input, where, ": ", key, " has no entry ", i, ", expected ", found.size(), " from 0 on");
    if (!one->is_string()) refuse(where, key, *one, "names");
    names.push_back(one->get<std::string>());
  }
  bool placeholders = true;  // what transformers writes where nobody gave names
  for (size_t i = 0; i < names.size(); ++i) placeholders = placeholders && names[i] == text("LABEL_", i);
  return placeholders ? std::vector<std::string>{} : names;
}

// The side of square images, or height and width.
void read_sides(const Json& j, const char* key, const std::string& where, SourceConfig& c) {
  const Json* found = find(j, key);
  const auto side = [&](size_t i) { return (*found)[i].is_number_integer() ? (*found)[i].get<int64_t>() : 0; };
  c.width.reset();
  if (found && found->is_array() && found->size() == 2 && side(0) > 0 && side(1) > 0 && side(0) != side(1)) {
    if (std::max(side(0), side(1)) > 1 << 20) refuse(where, key, *found, "two sides in pixels");
    c.image = side(0), c.width = side(1);
  } else {
    c.image = whole(j, key, where);
  }
}

// What a model_type of Hugging Face is.
struct ModelType {
  std::string_view name;
  bool dinov2 = false, tower = false;  // its numbers may stand in vision_config
  bool beit = false;
};
constexpr ModelType model_types[] = {{"vit"},
                                     {"deit"},
                                     {"vit_msn"},
                                     {"vit_mae"},
                                     {"ijepa"},
                                     {"dinov2", true},
                                     {"dinov2_with_registers", true},
                                     {"clip", false, true},
                                     {"clip_vision_model", false, true},
                                     {"siglip", false, true},
                                     {"siglip_vision_model", false, true},
                                     {"beit", false, false, true},
                                     {"data2vec-vision", false, false, true}};

Relative relative(bool of_blocks, bool shared, const std::string& where) {
  if (of_blocks && shared)
    fail(Fault::input, where,
         ": says that there are relative positions of each block and shared ones, expected one of them");
  return of_blocks ? Relative::blocks : shared ? Relative::shared : Relative::none;
}

// Numbers of the transformer, which a config of an image and text model has one level down.
void read_tower(const Json& j, const ModelType& type, const std::string& where, SourceConfig& c) {
  read_sides(j, "image_size", where, c);
  c.patch = whole(j, "patch_size", where);
  c.dim = whole(j, "hidden_size", where);
  c.depth = whole(j, "num_hidden_layers", where);
  c.heads = whole(j, "num_attention_heads", where);
  c.hidden = whole(j, "intermediate_size", where);
  c.channels = whole(j, "num_channels", where);
  if (type.tower && !c.heads) c.heads = 12;  // as transformers takes it where a config is silent
  if (const auto epsilon = number(j, "layer_norm_eps", where)) {
    if (!(*epsilon > 0 && *epsilon < 1)) refuse(where, "layer_norm_eps", *epsilon, "a number from 0 to 1");
    c.epsilon = static_cast<float>(*epsilon);
  }
  if (type.dinov2) {
    c.registers = whole(j, "num_register_tokens", where);
    c.pool = Pool::token_and_mean;
    const bool gated = flag(j, "use_swiglu_ffn", where, false);
    if (const auto ratio = number(j, "mlp_ratio", where); ratio && c.dim && !gated)
      c.hidden = static_cast<int64_t>(static_cast<double>(*c.dim) * *ratio);
  }
  if (type.beit) {
    const bool mean = flag(j, "use_mean_pooling", where, true);
    c.pool = mean ? Pool::mean : Pool::token;
    c.last_norm = mean ? LastNorm::pooled : LastNorm::tokens;
    c.positions = flag(j, "use_absolute_position_embeddings", where, false) ? Positions::all : Positions::none;
    c.relative = relative(flag(j, "use_relative_position_bias", where, false),
                          flag(j, "use_shared_relative_position_bias", where, false), where);
  }
  if (const auto act = word(j, "hidden_act", where))
    c.gelu = gelu_form(*act, "hidden_act", where);
  else if (type.tower)
    c.gelu = type.name.starts_with("clip") ? GeluForm::quick : GeluForm::tanh;
}

SourceConfig parse_hugging_face(const Json& j, const std::string& where) {
  const std::string name = *word(j, "model_type", where);
  const auto type =
      std::find_if(std::begin(model_types), std::end(model_types), [&](const ModelType& t) { return t.name == name; });
  if (type == std::end(model_types)) {
    std::string expected;
    for (const ModelType& t : model_types) expected += text(expected.empty() ? "" : ", ", t.name);
    refuse(where, "model_type", name, expected);
  }
  SourceConfig c;
  c.library = "Hugging Face";
  c.kind = name;
  c.any_size = type->dinov2;
  const Json* nested = type->tower ? find_object(j, "vision_config", where) : nullptr;
  read_tower(nested ? *nested : j, *type, where, c);
  if (const Json* names = find(j, "id2label")) {
    c.class_names = names_by_index(*names, "id2label", where);
    c.classes = static_cast<int64_t>(names->size());
  }
  return c;
}

SourceConfig parse_timm(const Json& j, const std::string& where) {
  SourceConfig c;
  c.library = "timm";
  // What timm's code knows of an architecture and its files do not say.
  const std::string architecture = *word(j, "architecture", where);
  const std::vector<std::string> known = vit_family().known;
  if (std::find(known.begin(), known.end(), architecture) == known.end())
    refuse(where, "architecture", architecture, "a plain ViT, such as vit_base_patch16_224");
  c.kind = architecture;
  VitConfig usual = parse_vit(architecture);
  const Json* args = find_object(j, "model_args", where);
  Json all = args ? *args : Json::object();
  if (const Json* pool = find(j, "global_pool"); pool && !find(all, "global_pool")) all["global_pool"] = *pool;
  take_timm_arguments(all, where, usual);
  c.usual = usual;
  c.heads = usual.heads;
  c.epsilon = usual.epsilon;
  c.gelu = usual.gelu;
  c.pool = usual.pool;
  c.relative = usual.relative;
  const auto read_pool = [&](const Json& said) {
    const auto pool = word(said, "global_pool", where);
    if (!pool) return;
    if (*pool == "map") {
      if (c.pool != Pool::attention_all) c.pool = Pool::attention;
    } else if (*pool == "avg") {
      if (c.pool != Pool::mean_all) c.pool = Pool::mean;
    } else if (*pool == "token") {
      if (c.pool != Pool::two_heads) c.pool = Pool::token;
    } else {
      refuse(where, "global_pool", *pool, "\"token\", \"avg\" or \"map\"");
    }
  };
  read_pool(j);
  c.classes = whole(j, "num_classes", where);
  if (c.classes == 0) c.classes.reset();
  if (const Json* names = find(j, "label_names")) c.class_names = names_by_index(*names, "label_names", where);
  if (args) {
    read_sides(*args, "img_size", where, c);
    c.patch = whole(*args, "patch_size", where);
    c.dim = whole(*args, "embed_dim", where);
    c.depth = whole(*args, "depth", where);
    if (const auto heads = whole(*args, "num_heads", where)) c.heads = heads;
    c.channels = whole(*args, "in_chans", where);
    c.relative = relative(flag(*args, "use_rel_pos_bias", where, usual.relative == Relative::blocks),
                          flag(*args, "use_shared_rel_pos_bias", where, usual.relative == Relative::shared), where);
    if (const auto act = word(*args, "act_layer", where)) c.gelu = gelu_form(*act, "act_layer", where);
    read_pool(*args);
  }
  const Json* nested = find_object(j, "pretrained_cfg", where);
  const Json& images = nested ? *nested : j;                 // older files have one level
  Preprocess p{.mean = imagenet_mean, .std = imagenet_std};  // timm's, where it does not say
  channels(images, "mean", where, false, p.mean);
  channels(images, "std", where, true, p.std);
  if (const auto name = word(images, "interpolation", where))
    p.interpolation = interpolation(*name, "interpolation", where);
  const double crop = number(images, "crop_pct", where).value_or(0.875);  // timm's own, where a model does not say
  if (!(static_cast<float>(crop) > 0 && crop <= 100)) refuse(where, "crop_pct", images["crop_pct"], "more than 0");
  p.crop = static_cast<float>(crop);
  const std::string mode = word(images, "crop_mode", where).value_or("center");
  if (mode != "center" && mode != "squash" && mode != "border")
    refuse(where, "crop_mode", mode, "center, squash or border");
  p.fit = mode == "squash" ? Fit::both : mode == "border" ? Fit::longer : Fit::shorter;
  p.image = 0;
  bool square = true;
  if (const Json* input = find(images, "input_size")) {  // channels, height, width
    const auto side = [&](size_t i) { return (*input)[i].is_number_integer() ? (*input)[i].get<int64_t>() : 0; };
    if (!input->is_array() || input->size() != 3 || std::min(side(1), side(2)) < 1 ||
        std::max(side(1), side(2)) > 1 << 20)
      refuse(where, "input_size", *input, "channels and two sides");
    square = side(1) == side(2);  // else Preprocess cannot say it
    p.image = static_cast<int>(side(1));
    if (const double resized = std::floor(p.image / crop); resized < 1e9)
      p.resize = std::max(static_cast<int>(resized), 1);
  }
  if (square && (nested || images.contains("mean"))) c.preprocess = p;
  return c;
}

}  // namespace

SourceConfig parse_config(std::string_view text, const std::string& where) {
  const Json j = parse(text, where);
  if (word(j, "model_type", where)) return parse_hugging_face(j, where);
  if (word(j, "architecture", where)) return parse_timm(j, where);
  return {};
}

}  // namespace shear
