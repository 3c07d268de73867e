// Reading what stands beside weights: only keys that change what the model computes, or what it is shown.
#include "train/source_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace shear {

namespace {

using Json = nlohmann::json;

[[noreturn]] void refuse(const std::string& where, const char* key, const Json& found, const std::string& expected) {
  std::string value = found.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (value.size() > 80) value = value.substr(0, 80) + "...";
  fail(Fault::input, where, ": ", key, " is ", value, ", expected ", expected);
}

Json parse(std::string_view text, const std::string& where) {
  // Values are quoted in sentences, and writing JSON recurses: the depth is not the file's to choose.
  int depth = 0;
  const auto shallow = [&](int, Json::parse_event_t event, Json&) {
    if (event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start) ++depth;
    if (event == Json::parse_event_t::object_end || event == Json::parse_event_t::array_end) --depth;
    if (depth > 32) fail(Fault::input, where, ": is nested more than 32 deep, expected a flat object");
    return true;
  };
  Json j;
  try {
    j = Json::parse(text, shallow);
  } catch (const Json::exception& e) {
    fail(Fault::input, where, ": is not JSON: ", e.what());
  }
  if (!j.is_object()) refuse(where, "the file", j, "an object");
  return j;
}

// The value of a key, or null where it is not there or is null.
const Json* find(const Json& j, const char* key) {
  const auto at = j.find(key);
  return at == j.end() || at->is_null() ? nullptr : &*at;
}

const Json* find_object(const Json& j, const char* key, const std::string& where) {
  const Json* found = find(j, key);
  if (found && !found->is_object()) refuse(where, key, *found, "an object");
  return found;
}

// A whole number, or a square as a list of two equal ones.
std::optional<int64_t> whole(const Json& j, const char* key, const std::string& where) {
  const Json* found = find(j, key);
  if (!found) return std::nullopt;
  const Json& one = found->is_array() && found->size() == 2 && (*found)[0] == (*found)[1] ? (*found)[0] : *found;
  if (!one.is_number_integer() || one < 0 || one > 1'000'000'000) refuse(where, key, *found, "a whole number");
  return one.get<int64_t>();
}

std::optional<double> number(const Json& j, const char* key, const std::string& where) {
  const Json* found = find(j, key);
  if (!found) return std::nullopt;
  if (!found->is_number() || !std::isfinite(found->get<double>())) refuse(where, key, *found, "a number");
  return found->get<double>();
}

std::optional<std::string> word(const Json& j, const char* key, const std::string& where) {
  const Json* found = find(j, key);
  if (!found) return std::nullopt;
  if (!found->is_string()) refuse(where, key, *found, "a string");
  return found->get<std::string>();
}

bool flag(const Json& j, const char* key, const std::string& where, bool otherwise) {
  const Json* found = find(j, key);
  if (!found) return otherwise;
  if (!found->is_boolean()) refuse(where, key, *found, "true or false");
  return found->get<bool>();
}

void channels(const Json& j, const char* key, const std::string& where, bool divisor, std::array<float, 3>& into) {
  const Json* found = find(j, key);
  if (!found) return;
  const bool fits = found->is_array() && (found->size() == 1 || found->size() == 3) &&
                    std::all_of(found->begin(), found->end(), [&](const Json& v) {
                      return v.is_number() && std::isfinite(v.get<float>()) && (!divisor || v.get<float>() > 0);
                    });
  if (!fits) refuse(where, key, *found, divisor ? "1 or 3 numbers above 0" : "1 or 3 numbers");
  for (size_t i = 0; i < 3; ++i) into[i] = (*found)[found->size() == 1 ? 0 : i].get<float>();
}

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

Interpolation interpolation(const std::string& name, const char* key, const std::string& where) {
  if (name == "bilinear") return Interpolation::bilinear;
  if (name == "bicubic") return Interpolation::bicubic;
  refuse(where, key, name, "bilinear or bicubic");
}

void check_crop(const Json& value, double crop, const char* key, const std::string& where) {
  if (!(crop > 0 && crop <= 1)) refuse(where, key, value, "more than 0 and at most the whole image");
}

SourceConfig parse_timm(const Json& j, const std::string& where) {
  SourceConfig c;
  c.library = "timm";
  const std::string architecture = *word(j, "architecture", where);
  if (!architecture.starts_with("vit_"))
    refuse(where, "architecture", architecture, "a plain ViT, such as vit_base_patch16_224");
  if (const auto pool = word(j, "global_pool", where); pool && *pool != "token")
    refuse(where, "global_pool", *pool, "\"token\", as Shear's ViT classifies the class token");
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
  }
  const Json* nested = find_object(j, "pretrained_cfg", where);
  const Json& images = nested ? *nested : j;  // older files have one level
  Preprocess p;
  p.crop = 0.875f;  // timm's own, where a model does not say
  channels(images, "mean", where, false, p.mean);
  channels(images, "std", where, true, p.std);
  if (const auto name = word(images, "interpolation", where))
    p.interpolation = interpolation(*name, "interpolation", where);
  if (const auto crop = number(images, "crop_pct", where)) {
    check_crop(images["crop_pct"], *crop, "crop_pct", where);
    p.crop = static_cast<float>(*crop);
  }
  p.squash = word(images, "crop_mode", where) == "squash";
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

Preprocess parse_preprocessor(std::string_view text, const std::string& where, const Preprocess& otherwise) {
  const Json j = parse(text, where);
  Preprocess p = otherwise;
  if (flag(j, "do_normalize", where, true)) {
    channels(j, "image_mean", where, false, p.mean);
    channels(j, "image_std", where, true, p.std);
  } else {
    p.mean = {0, 0, 0};
    p.std = {1, 1, 1};
  }
  if (!flag(j, "do_rescale", where, true)) refuse(where, "do_rescale", j["do_rescale"], "true");
  if (const auto factor = number(j, "rescale_factor", where); factor && std::fabs(*factor * 255 - 1) > 1e-6)
    refuse(where, "rescale_factor", *factor, "1/255");
  if (const auto resample = whole(j, "resample", where)) {
    if (*resample != 2 && *resample != 3) refuse(where, "resample", *resample, "2 (bilinear) or 3 (bicubic)");
    p.interpolation = *resample == 2 ? Interpolation::bilinear : Interpolation::bicubic;
  }
  // The shorter side to `shortest_edge`, then the centre of `crop_size`; or both sides to one size.
  const Json* size = find(j, "size");
  const bool shortest = size && size->is_object() && size->contains("shortest_edge");
  p.squash = !shortest;
  p.crop = 1;
  if (shortest && flag(j, "do_center_crop", where, false)) {
    const Json* cut = find(j, "crop_size");
    const auto edge = whole(*size, "shortest_edge", where);
    const auto side =
        !cut ? edge : whole(cut->is_object() ? *cut : j, cut->is_object() ? "height" : "crop_size", where);
    if (!edge || !side || *edge == 0) refuse(where, "size", *size, "a size");
    const double crop = static_cast<double>(*side) / static_cast<double>(*edge);
    if (cut) check_crop(*cut, crop, "crop_size", where);  // else all of it is kept
    p.crop = static_cast<float>(crop);
  }
  return p;
}

}  // namespace shear
