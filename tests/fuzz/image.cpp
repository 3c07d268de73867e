// JPEG, PNG and WebP, and the EXIF in them: whatever the bytes are, an image comes back or Fault::input.
#include <webp/decode.h>

#include "input.h"
#include "shear/data.h"
#include "shear/error.h"

using namespace shear;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A WebP of one colour may rightly be of 200 million pixels: that is slow, not wrong.
  int width = 0, height = 0;
  if (WebPGetInfo(data, size, &width, &height) && int64_t{width} * height > 1 << 22) return 0;
  try {
    const Image image = decode_image(fuzz::as_file(data, size));
    if (image.pixels.size() !=
        static_cast<size_t>(image.width) * static_cast<size_t>(image.height) * static_cast<size_t>(image.channels))
      std::abort();
  } catch (const Error& e) {
    if (e.fault() != Fault::input) std::abort();
  }
  return 0;
}
