// config.json and preprocessor_config.json: whatever the text is, it is read or refused with Fault::input.
#include <cstdlib>

#include "train/source_config.h"

using namespace shear;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const SourceConfig config = parse_config(text, "config.json");
    if (config.preprocess && !(config.preprocess->crop > 0)) std::abort();
  } catch (const Error& e) {
    if (e.fault() != Fault::input) std::abort();
  }
  try {
    const Preprocess p = parse_preprocessor(text, "preprocessor_config.json", {});
    for (const float v : p.std)
      if (!(v > 0)) std::abort();
    if (!(p.crop > 0 && p.crop <= 1)) std::abort();
  } catch (const Error& e) {
    if (e.fault() != Fault::input) std::abort();
  }
  return 0;
}
