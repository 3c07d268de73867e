// Reading preprocessor_config.json, as transformers' image processors write it: the same pixels, or a refusal.
#include <algorithm>
#include <cmath>

#include "weights/config_json.h"
#include "weights/source_config.h"

namespace shear {

using namespace config;

namespace {

// What the processors of transformers do where the file does not say.
struct Processor {
  std::string_view name;  // without what it ends with
  bool square;            // `size` as one number: both sides; else the shorter one
  int64_t size, crop;     // crop 0: nothing is cut
  Interpolation interpolation;
  std::array<float, 3> mean, std;
};
constexpr std::array half{0.5f, 0.5f, 0.5f}, clip_mean{0.48145466f, 0.4578275f, 0.40821073f},
    clip_std{0.26862954f, 0.26130258f, 0.27577711f};
constexpr Processor processors[] = {{"ViT", true, 224, 0, Interpolation::bilinear, half, half},
                                    {"DeiT", true, 256, 224, Interpolation::bicubic, half, half},
                                    {"CLIP", false, 224, 224, Interpolation::bicubic, clip_mean, clip_std},
                                    {"Bit", false, 224, 224, Interpolation::bicubic, clip_mean, clip_std},
                                    {"ConvNext", false, 384, 0, Interpolation::bicubic, half, half}};

// Null where the file does not name one.
const Processor* processor_of(const Json& j, const std::string& where) {
  for (const char* key : {"image_processor_type", "feature_extractor_type"})
    if (const auto type = word(j, key, where)) {
      std::string_view stem = *type;
      for (const std::string_view end : {"Fast", "Pil", "ImageProcessor", "FeatureExtractor"})
        if (stem.ends_with(end)) stem.remove_suffix(end.size());
      for (const Processor& p : processors)
        if (p.name == stem && stem != *type) return &p;
      refuse(where, key, *type, "the processor of ViT, DeiT, CLIP, Bit or ConvNext");
    }
  return nullptr;
}

struct Size {
  bool shortest;  // of the shorter side; else of both
  int64_t side;
};

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
  for (const auto& [key, expected] :
       {std::pair{"do_resize", true}, {"do_pad", false}, {"do_flip_channel_order", false}})
    if (flag(j, key, where, expected) != expected) refuse(where, key, !expected, expected ? "true" : "false");
  if (const Json* most = find(j, "max_size")) refuse(where, "max_size", *most, "none");
  std::optional<Size> size = size_of(j, "size", where, !type || type->square);
  if (!size && type) size = {!type->square, type->size};
  p.fit = Fit::both;
  p.crop = 1;
  p.resize = 0;
  p.halves = Halves::down;
  const bool cut = flag(j, "do_center_crop", where, type && type->crop > 0);
  if (!size) {
    if (cut) refuse(where, "do_center_crop", true, "a size beside it");
    return;
  }
  if (type && type->name == "ConvNext") {
    convnext(j, *size, where, p);
  } else {
    if (!cut && size->shortest)
      refuse(where, "do_center_crop", false, "true where size is of the shorter side, as the model is square");
    if (size->shortest) p.fit = Fit::shorter;
    p.image = p.resize = static_cast<int>(size->side);
    if (cut) {
      Size centre{false, type && type->crop > 0 ? type->crop : size->side};
      if (const auto said = size_of(j, "crop_size", where, true)) centre = *said;
      const auto found = j.find("crop_size");
      if (centre.shortest || centre.side > size->side)
        refuse(where, "crop_size", found == j.end() ? Json(centre.side) : *found,
               text("a square of at most the ", size->side, " pixels of size"));
      p.image = static_cast<int>(centre.side);
    }
  }
  p.crop = static_cast<float>(static_cast<double>(p.image) / p.resize);
}

}  // namespace

Preprocess parse_preprocessor(std::string_view text, const std::string& where, const Preprocess& otherwise) {
  const Json j = parse(text, where);
  Preprocess p = otherwise;
  const Processor* type = processor_of(j, where);
  if (type) {
    p.interpolation = type->interpolation;
    p.mean = type->mean;
    p.std = type->std;
  }
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
  geometry(j, type, where, p);
  return p;
}

}  // namespace shear
