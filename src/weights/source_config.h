// config.json and preprocessor_config.json, as timm and transformers write them.
#pragma once
#include "shear/models/vit.h"
#include "shear/weights.h"

namespace shear {

// What they say; what is empty they do not say.
struct SourceConfig {
  std::string library;  // "timm", "Hugging Face"; empty: of neither
  std::optional<int64_t> image, patch, dim, depth, heads, hidden, channels, classes, registers;
  std::optional<VitConfig> usual;  // of the architecture, by timm's table
  std::optional<float> epsilon;
  std::optional<GeluForm> gelu;
  std::optional<Pool> pool;
  std::vector<std::string> class_names;  // by index; empty where they are placeholders
  std::optional<Preprocess> preprocess;  // image: of the model that it was written for, 0 where it does not say
};

// `where` opens every sentence.  Throw Fault::input for text that is not JSON, for values of the wrong kind, and for
// models that Shear's ViT is not.
SourceConfig parse_config(std::string_view json, const std::string& where);
// Preprocessing by preprocessor_config.json; where it names no processor, what it does not say is as in `otherwise`.
// Throws Fault::input for what Preprocess cannot say.
Preprocess parse_preprocessor(std::string_view json, const std::string& where, const Preprocess& otherwise);

}  // namespace shear
