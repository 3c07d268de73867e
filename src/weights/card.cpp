// What a weight file says about itself, as strings in its metadata.
#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "shear/utf8.h"
#include "shear/weights.h"
#include "weights/json.h"

namespace shear {

static constexpr std::array<const char*, 4> fits{"shorter", "both", "longer", "none"};  // as enum Fit
static constexpr std::array<const char*, 2> halves{"even", "down"};                     // as enum Halves

nlohmann::ordered_json preprocess_json(const Preprocess& p) {
  nlohmann::ordered_json j;
  j["image"] = p.image;
  j["channels"] = p.channels;
  for (size_t i = 0; i < 3; ++i) {
    j["mean"].push_back(short_double(p.mean[i]));
    j["std"].push_back(short_double(p.std[i]));
  }
  j["interpolation"] = name(p.interpolation);
  j["crop"] = short_double(p.crop);
  // Until there were the three fields behind it, `squash` told all, and cut nothing.
  j["squash"] = p.fit == Fit::both;
  j["fit"] = fits[static_cast<size_t>(p.fit)];
  j["resize"] = resized_side(p);
  j["halves"] = halves[static_cast<size_t>(p.halves)];
  if (!p.cut) j["cut"] = false;
  return j;
}

// The enumerator of a name.
template <class Enum>
static Enum named(const auto& names, const nlohmann::json& found, const std::string& where) {
  const auto at = std::find(names.begin(), names.end(), found.get<std::string>());
  if (at == names.end()) fail(Fault::input, where, " has ", found.dump(), ", expected ", names.front(), " or the like");
  return static_cast<Enum>(at - names.begin());
}

static Preprocess preprocess_from(const nlohmann::json& j, const std::string& where) {
  Preprocess p;
  p.image = j.at("image");
  p.channels = j.at("channels");
  for (size_t i = 0; i < 3; ++i) {
    p.mean[i] = j.at("mean").at(i);
    p.std[i] = j.at("std").at(i);
  }
  p.interpolation = named<Interpolation>(interpolations(), j.at("interpolation"), where);
  p.crop = j.at("crop");
  if (j.contains("resize")) {
    p.fit = named<Fit>(fits, j.at("fit"), where);
    p.resize = j.at("resize");
    p.halves = named<Halves>(halves, j.at("halves"), where);
    p.cut = j.value("cut", true);
  } else if (j.at("squash").get<bool>()) {
    p.fit = Fit::both;
    p.crop = 1;
  }
  const auto finite = [](float v) { return std::isfinite(v); };
  if (p.image < 1 || p.channels < 1 || !(p.crop > 0 && finite(p.crop)) || p.resize < 0 ||
      !std::all_of(p.mean.begin(), p.mean.end(), finite) ||
      !std::all_of(p.std.begin(), p.std.end(), [&](float v) { return finite(v) && v > 0; }))
    fail(Fault::input, where, " is ", j.dump(), ", which is no way to prepare images");
  return p;
}

std::map<std::string, std::string> to_metadata(const ModelCard& card) {
  for (const std::string& name : card.classes)
    if (!is_utf8(name))
      fail(Fault::input, "a class is called \"", printable(name), "\", which is not UTF-8, as a weight file must be");
  std::map<std::string, std::string> metadata{
      {"format", "pt"},  // what other readers of this format look for: row-major, as PyTorch has it
      {"shear.model", card.model},
      {"shear.classes", nlohmann::json(card.classes).dump()},
      {"shear.preprocess", preprocess_json(card.preprocess).dump()}};
  if (!card.kind.empty()) metadata["shear.kind"] = card.kind;
  return metadata;
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
  const std::string where = file.path().string() + ": shear.preprocess";
  parse_json(where, text_of("shear.preprocess"),
             [&](const nlohmann::json& j) { card.preprocess = preprocess_from(j, where); });
  if (const auto kind = file.metadata().find("shear.kind"); kind != file.metadata().end()) card.kind = kind->second;
  try {
    parse_model(card.model);
  } catch (const Error& e) {
    fail(Fault::input, file.path().string(), ": shear.model: ", e.what());
  }
  return card;
}

Preprocess default_preprocess(const ModelSpec& model) {
  const Shape input = model.input();
  Preprocess p;
  p.image = static_cast<int>(input[1]);
  p.channels = static_cast<int>(input[0]);
  p.crop = p.image == 224 ? 0.9f : 1.f;
  return p;
}

void expect_square(const ModelSpec& model) {
  if (const Shape input = model.input(); input[1] != input[2])
    fail(Fault::usage, setting("model"), " ", model.str(), ": its images are ", input[1], " x ", input[2],
         ", and photos are brought to squares alone, expected ", setting("image-size"));
}

void apply(const ImageOptions& o, Preprocess& p) {
  const auto floats = [](const std::array<double, 3>& v) {
    return std::array{static_cast<float>(v[0]), static_cast<float>(v[1]), static_cast<float>(v[2])};
  };
  if (o.mean) p.mean = floats(*o.mean);
  if (o.std) {
    p.std = floats(*o.std);
    for (float v : p.std)
      if (!(v > 0)) fail(Fault::usage, setting("image-std"), " ", v, ": expected more than 0");
  }
  if (o.crop) {
    if (!(*o.crop > 0 && *o.crop <= 1))
      fail(Fault::usage, setting("image-crop"), " ", *o.crop, ": expected more than 0 and at most 1");
    p.crop = static_cast<float>(*o.crop);
    p.resize = 0;
    p.cut = true;
    if (p.fit == Fit::none) p.fit = Fit::shorter;
  }
  if (o.interpolation) {
    const auto known = parse_interpolation(*o.interpolation);
    if (!known)
      fail(Fault::usage, setting("interpolation"), " ", *o.interpolation, ": expected ",
           "bilinear, bicubic, lanczos, box or hamming");
    p.interpolation = *known;
  }
  if (o.squash) {
    p.fit = Fit::both;
    p.crop = 1;
    p.resize = 0;
    p.cut = true;
  }
}

}  // namespace shear
