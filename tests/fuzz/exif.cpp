// EXIF and XMP: any bytes have an orientation, and any orientation keeps an image's pixels.
#include <algorithm>
#include <cstdlib>

#include "data/exif.h"

using namespace shear;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Bytes bytes(data, size);
  const int orientation = shear::orientation(bytes, bytes);
  if (orientation < 1 || orientation > 8) std::abort();
  const int width = 1 + static_cast<int>(size % 40);
  const int height = static_cast<int>(size) / width;
  if (height == 0) return 0;
  const Image image{width, height, 1, {data, data + static_cast<ptrdiff_t>(width) * height}};
  Image turned = upright(image, orientation);
  if (turned.width != (orientation >= 5 ? height : width) || turned.pixels.size() != image.pixels.size()) std::abort();
  std::vector<uint8_t> before = image.pixels;
  std::sort(before.begin(), before.end());
  std::sort(turned.pixels.begin(), turned.pixels.end());
  if (before != turned.pixels) std::abort();
  return 0;
}
