// Reading preprocessor_config.json and processor_config.json, as transformers' image processors write it: the same
// pixels, or a refusal.
#include <algorithm>
#include <cmath>

#include "weights/colours.h"
#include "weights/config_json.h"
#include "weights/source_config.h"

namespace shear {

using namespace config;

namespace {

struct Size {
  bool shortest;  // of the shorter side; else of both
  int64_t side;
};

// What the processors of transformers do where the file does not say.
struct Processor {
  std::string_view name;  // without what it ends with
  bool square;            // `size` as one number: both sides; else the shorter one
  Size size;
  int64_t crop;  // 0: `crop_size` has no default
  bool cut;
  Interpolation interpolation;
  std::array<float, 3> mean, std;
};
constexpr Processor processors[] = {
    {"ViT", true, {false, 224}, 0, false, Interpolation::bilinear, half_each, half_each},
    {"DeiT", true, {false, 256}, 224, true, Interpolation::bicubic, half_each, half_each},
    {"CLIP", false, {true, 224}, 224, true, Interpolation::bicubic, clip_mean, clip_std},
    {"Bit", false, {true, 224}, 224, true, Interpolation::bicubic, clip_mean, clip_std},
    {"Siglip", false, {false, 224}, 0, false, Interpolation::bicubic, half_each, half_each},
    {"Beit", true, {false, 224}, 224, false, Interpolation::bicubic, half_each, half_each},
    {"ConvNext", false, {true, 384}, 0, false, Interpolation::bicubic, half_each, half_each}};

// The processor of a model_type, where a file names none.
constexpr std::pair<std::string_view, std::string_view> usual_processors[] = {{"vit", "ViT"},
                                                                              {"vit_msn", "ViT"},
                                                                              {"vit_mae", "ViT"},
                                                                              {"ijepa", "ViT"},
                                                                              {"deit", "DeiT"},
                                                                              {"dinov2", "Bit"},
                                                                              {"dinov2_with_registers", "Bit"},
                                                                              {"clip", "CLIP"},
                                                                              {"clip_vision_model", "CLIP"},
                                                                              {"aimv2", "CLIP"},
                                                                              {"aimv2_vision_model", "CLIP"},
                                                                              {"siglip", "Siglip"},
                                                                              {"siglip_vision_model", "Siglip"},
                                                                              {"beit", "Beit"},
                                                                              {"data2vec-vision", "Beit"}};

const Processor* processor_named(std::string_view stem) {
  for (const Processor& p : processors)
    if (p.name == stem) return &p;
  return nullptr;
}

// Null where neither the file nor the model tells.
const Processor* processor_of(const Json& j, const std::string& where, std::string_view model_type) {
  for (const char* key : {"image_processor_type", "feature_extractor_type"})
    if (const auto type = word(j, key, where)) {
      std::string_view stem = *type;
      for (const std::string_view end : {"Fast", "Pil", "ImageProcessor", "FeatureExtractor"})
        if (stem.ends_with(end)) stem.remove_suffix(end.size());
      if (const Processor* p = processor_named(stem); p && stem != *type) return p;
      refuse(where, key, *type, "the processor of ViT, DeiT, CLIP, Bit, Siglip, Beit or ConvNext");
    }
  for (const auto& [model, name] : usual_processors)
    if (model == model_type) return processor_named(name);
  return nullptr;
}

// "size" or "crop_size".
std::optional<Size> size_of(const Json& j, const char* key, const std::string& where, bool square) {
  const Json* found = find(j, key);
  if (!found) return std::nullopt;
  const char* expected = "one number above 0, equal height and width, or shortest_edge";
  Size size{found->is_number() && !square, 0};
  if (found->is_object()) {
    const auto given = std::count_if(found->begin(), found->end(), [](const Json& v) { return !v.is_null(); });
    const auto height = whole(*found, "height", where), width = whole(*found, "width", where),
               shortest = whole(*found, "shortest_edge", where);
    size = {shortest.has_value(), shortest ? *shortest : height.value_or(0)};
    if (given != (shortest ? 1 : 2) || (!shortest && height != width)) refuse(where, key, *found, expected);
  } else if (found->is_number() || found->is_array()) {
    size.side = whole(j, key, where).value();
  }
  if (size.side == 0) refuse(where, key, *found, expected);
  return size;
}

// As ConvNext's processor, whose `size` is what the model sees.
void convnext(const Json& j, const Size& size, const std::string& where, Preprocess& p) {
  if (!size.shortest) refuse(where, "size", j.value("size", Json()), "shortest_edge");
  if (flag(j, "do_center_crop", where, false)) refuse(where, "do_center_crop", true, "false for ConvNext's processor");
  p.image = p.resize = static_cast<int>(size.side);
  if (size.side >= 384) return;
  p.fit = Fit::shorter;
  const double share = number(j, "crop_pct", where).value_or(224. / 256);
  const double side = std::floor(static_cast<double>(size.side) / share);
  if (!(share > 0 && share <= 1 && side < 1e9)) refuse(where, "crop_pct", share, "more than 0 and at most 1");
  p.resize = static_cast<int>(side);
}

// How images are resized and cut.
void geometry(const Json& j, const Processor* type, const std::string& where, Preprocess& p) {
  for (const char* key : {"do_pad", "do_flip_channel_order", "use_square_size"})
    if (flag(j, key, where, false)) refuse(where, key, true, "false");
  if (const Json* most = find(j, "max_size")) refuse(where, "max_size", *most, "none");
  std::optional<Size> size = size_of(j, "size", where, !type || type->square);
  if (!size && type) size = type->size;
  p.fit = Fit::both;
  p.crop = 1;
  p.resize = 0;
  p.halves = Halves::down;
  p.cut = flag(j, "do_center_crop", where, type && type->cut);
  std::optional<Size> centre;
  if (p.cut) centre = size_of(j, "crop_size", where, true);
  if (centre && centre->shortest) refuse(where, "crop_size", j["crop_size"], "one number or equal height and width");
  if (!centre && type && type->crop > 0) centre = Size{false, type->crop};
  if (!flag(j, "do_resize", where, true)) {
    p.fit = Fit::none;
    if (p.cut && !centre) refuse(where, "do_center_crop", true, "a crop_size beside it");
    p.image = p.cut ? static_cast<int>(centre->side) : 0;
    return;
  }
  if (type && type->name == "ConvNext") {
    p.cut = true;
    convnext(j, *size, where, p);
  } else if (!size) {
    if (p.cut) refuse(where, "do_center_crop", true, "a size beside it");
    p.cut = true;  // what is squashed has the model's size
    return;
  } else {
    if (size->shortest) p.fit = Fit::shorter;
    p.image = p.resize = static_cast<int>(size->side);
    if (p.cut && centre) p.image = static_cast<int>(centre->side);
    if (!size->shortest) p.cut = true;
  }
  p.crop = static_cast<float>(static_cast<double>(p.image) / p.resize);
}

// Pixels are multiplied by a factor, then normalised; Preprocess has 1/255 for the factor, which mean and std make up.
void values(const Json& j, const std::string& where, Preprocess& p) {
  if (flag(j, "do_normalize", where, true)) {
    channels(j, "image_mean", where, false, p.mean);
    channels(j, "image_std", where, true, p.std);
  } else {
    p.mean = {0, 0, 0};
    p.std = {1, 1, 1};
  }
  double factor = number(j, "rescale_factor", where).value_or(1 / 255.);
  if (!flag(j, "do_rescale", where, true)) factor = 1;
  if (!(factor >= 1e-6 && factor <= 1e6)) refuse(where, "rescale_factor", factor, "a number from 1e-6 to 1e6");
  if (std::fabs(factor * 255 - 1) <= 1e-6) return;
  for (size_t i = 0; i < 3; ++i) {
    p.mean[i] = static_cast<float>(p.mean[i] / (factor * 255));
    p.std[i] = static_cast<float>(p.std[i] / (factor * 255));
    if (!std::isfinite(p.mean[i]) || !std::isnormal(p.std[i]))
      refuse(where, "rescale_factor", factor, "1/255, or one that image_mean and image_std allow");
  }
}

Preprocess preprocessor(const Json& j, const std::string& where, const Preprocess& otherwise,
                        std::string_view model_type) {
  Preprocess p = otherwise;
  const Processor* type = processor_of(j, where, model_type);
  if (type) {
    p.interpolation = type->interpolation;
    p.mean = type->mean;
    p.std = type->std;
  }
  values(j, where, p);
  if (const auto resample = whole(j, "resample", where)) {
    if (*resample < 1 || *resample > 5)
      refuse(where, "resample", *resample, "1 (lanczos), 2 (bilinear), 3 (bicubic), 4 (box) or 5 (hamming)");
    p.interpolation = by_pillow[static_cast<size_t>(*resample) - 1];
  }
  geometry(j, type, where, p);
  return p;
}

}  // namespace

Preprocess parse_preprocessor(std::string_view text, const std::string& where, const Preprocess& otherwise,
                              std::string_view model_type) {
  return preprocessor(parse(text, where), where, otherwise, model_type);
}

std::optional<Preprocess> parse_processor(std::string_view text, const std::string& where, const Preprocess& otherwise,
                                          std::string_view model_type) {
  const Json j = parse(text, where);
  const Json* images = find_object(j, "image_processor", where);
  if (!images) return std::nullopt;
  return preprocessor(*images, where, otherwise, model_type);
}

}  // namespace shear
