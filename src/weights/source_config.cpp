// Reading what stands beside weights: only keys that change what the model computes, or what it is shown.
#include "weights/source_config.h"

#include <cmath>

#include "weights/config_json.h"

namespace shear {

using namespace config;

namespace {

GeluForm gelu_form(const std::string& name, const char* key, const std::string& where) {
  if (name == "gelu") return GeluForm::exact;
  for (const char* tanh : {"gelu_tanh", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_python_tanh"})
    if (name == tanh) return GeluForm::tanh;
  refuse(where, key, name, "gelu or its tanh approximation");
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

SourceConfig parse_hugging_face(const Json& j, const std::string& where) {
  const std::optional<std::string> type = word(j, "model_type", where);
  if (type != "vit") refuse(where, "model_type", *type, "\"vit\"");
  SourceConfig c;
  c.library = "Hugging Face";
  c.image = whole(j, "image_size", where);
  c.patch = whole(j, "patch_size", where);
  c.dim = whole(j, "hidden_size", where);
  c.depth = whole(j, "num_hidden_layers", where);
  c.heads = whole(j, "num_attention_heads", where);
  c.hidden = whole(j, "intermediate_size", where);
  c.channels = whole(j, "num_channels", where);
  if (const auto epsilon = number(j, "layer_norm_eps", where)) {
    if (!(*epsilon > 0 && *epsilon < 1)) refuse(where, "layer_norm_eps", *epsilon, "a number from 0 to 1");
    c.epsilon = static_cast<float>(*epsilon);
  }
  if (const auto act = word(j, "hidden_act", where)) c.gelu = gelu_form(*act, "hidden_act", where);
  if (const Json* names = find(j, "id2label")) {
    c.class_names = names_by_index(*names, "id2label", where);
    c.classes = static_cast<int64_t>(names->size());
  }
  return c;
}

SourceConfig parse_timm(const Json& j, const std::string& where) {
  SourceConfig c;
  c.library = "timm";
  const std::string architecture = *word(j, "architecture", where);
  if (!architecture.starts_with("vit_"))
    refuse(where, "architecture", architecture, "a plain ViT, such as vit_base_patch16_224");
  const auto check_pool = [&](const Json& said) {
    if (const auto pool = word(said, "global_pool", where); pool && *pool != "token")
      refuse(where, "global_pool", *pool, "\"token\", as Shear's ViT classifies the class token");
  };
  check_pool(j);
  c.classes = whole(j, "num_classes", where);
  if (c.classes == 0) c.classes.reset();
  if (const Json* names = find(j, "label_names")) c.class_names = names_by_index(*names, "label_names", where);
  if (const Json* args = find_object(j, "model_args", where)) {
    c.image = whole(*args, "img_size", where);
    c.patch = whole(*args, "patch_size", where);
    c.dim = whole(*args, "embed_dim", where);
    c.depth = whole(*args, "depth", where);
    c.heads = whole(*args, "num_heads", where);
    c.channels = whole(*args, "in_chans", where);
    if (const auto act = word(*args, "act_layer", where)) c.gelu = gelu_form(*act, "act_layer", where);
    check_pool(*args);
  }
  const Json* nested = find_object(j, "pretrained_cfg", where);
  const Json& images = nested ? *nested : j;  // older files have one level
  Preprocess p;
  channels(images, "mean", where, false, p.mean);
  channels(images, "std", where, true, p.std);
  if (const auto name = word(images, "interpolation", where))
    p.interpolation = interpolation(*name, "interpolation", where);
  const double crop = number(images, "crop_pct", where).value_or(0.875);  // timm's own, where a model does not say
  if (!(static_cast<float>(crop) > 0 && crop <= 1))
    refuse(where, "crop_pct", images["crop_pct"], "more than 0 and at most the whole image");
  p.crop = static_cast<float>(crop);
  const std::string mode = word(images, "crop_mode", where).value_or("center");
  if (mode != "center" && mode != "squash" && mode != "border")
    refuse(where, "crop_mode", mode, "center, squash or border");
  p.fit = mode == "squash" ? Fit::both : mode == "border" ? Fit::longer : Fit::shorter;
  p.image = 0;
  if (const Json* input = find(images, "input_size")) {  // channels, height, width
    const auto side = [&](size_t i) { return (*input)[i].is_number_integer() ? (*input)[i].get<int64_t>() : 0; };
    if (!input->is_array() || input->size() != 3 || side(1) != side(2) || side(1) < 1 || side(1) > 1 << 20)
      refuse(where, "input_size", *input, "channels and two equal sides");
    p.image = static_cast<int>(side(1));
    if (const double resized = std::floor(p.image / crop); resized < 1e9) p.resize = static_cast<int>(resized);
  }
  if (nested || images.contains("mean")) c.preprocess = p;
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
