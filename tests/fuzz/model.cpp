// A model's spelling: what is understood has a spelling that means the same, with other classes and another image too.
#include <cstdint>
#include <cstdlib>

#include "shear/error.h"
#include "shear/models/vit.h"

using namespace shear;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const VitConfig config = parse_vit(text);
    if (config.image % config.patch != 0 || config.dim % config.heads != 0 || !(config.epsilon > 0)) std::abort();
    if (!(parse_vit(spec(config)) == config)) std::abort();
    if (parse_vit(with_classes(text, 7)).classes < 1) std::abort();
    if (!known_name(config).empty() && parse_vit(known_name(config)).dim != config.dim) std::abort();
    if (with_image(config, 2 * config.patch).image != 2 * config.patch) std::abort();
  } catch (const Error& e) {
    if (e.fault() != Fault::usage) std::abort();
  }
  return 0;
}
