// config.json, open_clip_config.json and preprocessor_config.json: whatever the text is, it is read or refused with
// Fault::input.
#include <cstdlib>

#include "weights/source_config.h"

using namespace shear;

// It could prepare an image: the size of the model comes later where the file has none.
static void check(Preprocess p) {
  for (const float v : p.std)
    if (!(v > 0)) std::abort();
  if (!(p.crop > 0) || p.image < 0 || p.resize < 0) std::abort();
  if (p.image == 0 && p.resize != 0) std::abort();
  if (resized_side(p) < 1) std::abort();
  if (p.fit == Fit::longer && !p.cut) std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const SourceConfig config = parse_config(text, "config.json");
    if (config.preprocess) check(*config.preprocess);
  } catch (const Error& e) {
    if (e.fault() != Fault::input) std::abort();
  }
  try {
    check(*parse_open_clip_config(text, "open_clip_config.json").preprocess);
  } catch (const Error& e) {
    if (e.fault() != Fault::input) std::abort();
  }
  try {
    check(parse_preprocessor(text, "preprocessor_config.json", {.image = 0}));
  } catch (const Error& e) {
    if (e.fault() != Fault::input) std::abort();
  }
  return 0;
}
