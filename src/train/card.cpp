// What a weight file says about itself, as strings in its metadata.
#include <nlohmann/json.hpp>

#include "train/json.h"

namespace shear {

nlohmann::ordered_json preprocess_json(const Preprocess& p) {
  nlohmann::ordered_json j;
  j["image"] = p.image;
  j["channels"] = p.channels;
  for (size_t i = 0; i < 3; ++i) {
    j["mean"].push_back(short_double(p.mean[i]));
    j["std"].push_back(short_double(p.std[i]));
  }
  j["interpolation"] = p.interpolation == Interpolation::bilinear ? "bilinear" : "bicubic";
  j["crop"] = short_double(p.crop);
  j["squash"] = p.squash;
  return j;
}

static Preprocess preprocess_from(const nlohmann::json& j) {
  Preprocess p;
  p.image = j.at("image");
  p.channels = j.at("channels");
  for (size_t i = 0; i < 3; ++i) {
    p.mean[i] = j.at("mean").at(i);
    p.std[i] = j.at("std").at(i);
  }
  p.interpolation = j.at("interpolation") == "bilinear" ? Interpolation::bilinear : Interpolation::bicubic;
  p.crop = j.at("crop");
  p.squash = j.at("squash");
  return p;
}

std::map<std::string, std::string> to_metadata(const ModelCard& card) {
  return {{"format", "pt"},  // what other readers of this format look for: row-major, as PyTorch has it
          {"shear.model", card.model},
          {"shear.classes", nlohmann::json(card.classes).dump()},
          {"shear.preprocess", preprocess_json(card.preprocess).dump()}};
}

std::optional<ModelCard> read_card(const TensorFile& file) {
  const auto model = file.metadata().find("shear.model");
  if (model == file.metadata().end()) return std::nullopt;
  const auto text_of = [&](const std::string& key) -> const std::string& {
    const auto found = file.metadata().find(key);
    if (found == file.metadata().end()) fail(Fault::input, file.path().string(), ": the metadata has no ", key);
    return found->second;
  };
  ModelCard card;
  card.model = model->second;
  parse_json(file.path().string() + ": shear.classes", text_of("shear.classes"),
             [&](const nlohmann::json& j) { card.classes = j; });
  parse_json(file.path().string() + ": shear.preprocess", text_of("shear.preprocess"),
             [&](const nlohmann::json& j) { card.preprocess = preprocess_from(j); });
  try {
    parse_vit(card.model);
  } catch (const Error& e) {
    fail(Fault::input, file.path().string(), ": shear.model: ", e.what());
  }
  return card;
}

Preprocess default_preprocess(const VitConfig& model) {
  Preprocess p;
  p.image = static_cast<int>(model.image);
  p.channels = static_cast<int>(model.channels);
  p.crop = model.image == 224 ? 0.9f : 1.f;
  return p;
}

void apply(const ImageOptions& o, Preprocess& p) {
  const auto floats = [](const std::array<double, 3>& v) {
    return std::array{static_cast<float>(v[0]), static_cast<float>(v[1]), static_cast<float>(v[2])};
  };
  if (o.mean) p.mean = floats(*o.mean);
  if (o.std) {
    p.std = floats(*o.std);
    for (float v : p.std)
      if (!(v > 0)) fail(Fault::usage, "--image-std ", v, ": expected more than 0");
  }
  if (o.crop) {
    if (!(*o.crop > 0 && *o.crop <= 1))
      fail(Fault::usage, "--image-crop ", *o.crop, ": expected more than 0 and at most 1");
    p.crop = static_cast<float>(*o.crop);
  }
  if (o.interpolation) {
    if (*o.interpolation != "bilinear" && *o.interpolation != "bicubic")
      fail(Fault::usage, "--interpolation ", *o.interpolation, ": expected bilinear or bicubic");
    p.interpolation = *o.interpolation == "bilinear" ? Interpolation::bilinear : Interpolation::bicubic;
  }
  if (o.squash) p.squash = true;
}

}  // namespace shear
