// config.json and preprocessor_config.json, as timm and transformers write them.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include "shear/models/vit.h"
#include "shear/weights.h"

namespace shear {

// What they say; what is empty they do not say.
struct SourceConfig {
  std::string library;           // "timm", "Hugging Face"; empty: of neither
  std::string kind;              // as in ModelCard
  std::optional<int64_t> width;  // of images that are not as wide as high, beside `image`
  std::optional<int64_t> image, patch, dim, depth, heads, hidden, channels, classes, registers;
  std::optional<VitConfig> usual;  // of the architecture, by timm's table
  std::optional<float> epsilon;
  std::optional<GeluForm> gelu;
  std::optional<Pool> pool;
  std::optional<LastNorm> last_norm;
  std::optional<Positions> positions;
  std::optional<Relative> relative;
  std::vector<std::string> class_names;  // by index; empty where they are placeholders
  std::optional<Preprocess> preprocess;  // image: of the model that it was written for, 0 where it does not say
  bool any_size = false;                 // the library takes images of any size, and resizes positions to them
};

// `where` opens every sentence.  Throw Fault::input for text that is not JSON, for values of the wrong kind, and for
// models that Shear's ViT is not.
SourceConfig parse_config(std::string_view json, const std::string& where);
// timm's arguments, which make an architecture another; those that the weights show are left to them.
void take_timm_arguments(const nlohmann::json& args, const std::string& where, VitConfig& usual);
// The same of OpenCLIP's open_clip_config.json.
SourceConfig parse_open_clip_config(std::string_view json, const std::string& where);
// Preprocessing by preprocessor_config.json; where it names no processor, that of `model_type` is meant; where there is
// none for that, what it does not say is as in `otherwise`.  Throws Fault::input for what Preprocess cannot say.
Preprocess parse_preprocessor(std::string_view json, const std::string& where, const Preprocess& otherwise,
                              std::string_view model_type = {});
// The same by processor_config.json, as transformers writes it since version 5 for models of images and text; nothing
// where that says nothing of images.
std::optional<Preprocess> parse_processor(std::string_view json, const std::string& where, const Preprocess& otherwise,
                                          std::string_view model_type = {});

}  // namespace shear
