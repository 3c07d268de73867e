// Images, and what is written in them of how they were held: whatever the bytes are, an image comes back or
// Fault::input, of the size that its header told, in the memory that it told.
#include "input.h"
#include "shear/data.h"
#include "shear/error.h"

using namespace shear;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::filesystem::path file = fuzz::as_file(data, size);
  ImageHeader header;
  bool sound = false;
  try {
    header = probe_image(file);
    sound = true;
  } catch (const Error& e) {
    if (e.fault() != Fault::input) std::abort();
  }
  // An image of one colour may rightly be of 200 million pixels: that is slow, not wrong.
  if (sound && int64_t{header.width} * header.height > 1 << 22) return 0;
  try {
    const Image image = decode_image(file);
    if (image.pixels.size() !=
        static_cast<size_t>(image.width) * static_cast<size_t>(image.height) * static_cast<size_t>(image.channels))
      std::abort();
    const bool same = image.width == header.width && image.height == header.height;
    const bool turned = image.width == header.height && image.height == header.width;
    if (!sound || !(same || turned) || image.channels != header.channels ||
        header.decode_bytes < size + image.pixels.size())
      std::abort();
  } catch (const Error& e) {
    if (e.fault() != Fault::input) std::abort();
  }
  return 0;
}
