// EXIF's orientation, and turning pixels by it.  (CIPA DC-008, "Exchangeable image file format", 4.6.)
#include "data/exif.h"

#include <algorithm>
#include <cstring>

#include "data/resample.h"

namespace shear {
namespace {

uint32_t number(Bytes bytes, size_t at, size_t count, bool little) {
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i) value = value << 8 | bytes[little ? at + count - 1 - i : at + i];
  return value;
}

void mirror(Image& image) {  // left and right change places
  const size_t channels = static_cast<size_t>(image.channels), row = static_cast<size_t>(image.width) * channels;
  for (auto first = image.pixels.begin(); first != image.pixels.end(); first += static_cast<ptrdiff_t>(row)) {
    std::reverse(first, first + static_cast<ptrdiff_t>(row));
    if (channels == 3)
      for (size_t x = 0; x < row; x += 3)
        std::swap(first[static_cast<ptrdiff_t>(x)], first[static_cast<ptrdiff_t>(x + 2)]);
  }
}

void flip(Image& image) {  // top and bottom change places
  const ptrdiff_t row = ptrdiff_t{image.width} * image.channels;
  for (int y = 0; y < image.height / 2; ++y)
    std::swap_ranges(image.pixels.begin() + y * row, image.pixels.begin() + (y + 1) * row,
                     image.pixels.begin() + (image.height - 1 - y) * row);
}

}  // namespace

int exif_orientation(Bytes tiff) {
  constexpr uint32_t orientation = 0x0112, short_type = 3;
  constexpr size_t entry_bytes = 12;
  if (tiff.size() < 8) return 1;
  const bool little = std::memcmp(tiff.data(), "II*\0", 4) == 0;
  if (!little && std::memcmp(tiff.data(), "MM\0*", 4) != 0) return 1;
  const size_t directory = number(tiff, 4, 4, little);
  if (directory > tiff.size() - 2) return 1;
  const size_t entries = number(tiff, directory, 2, little);
  for (size_t i = 0, at = directory + 2; i < entries && at + entry_bytes <= tiff.size(); ++i, at += entry_bytes) {
    if (number(tiff, at, 2, little) != orientation) continue;
    const uint32_t value = number(tiff, at + 8, 2, little);
    return number(tiff, at + 2, 2, little) == short_type && value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Image upright(Image image, int orientation) {
  if (orientation >= 5) image = transposed(view(image));
  // What is left to do, after the transposition where there is one: 2 3 6 7 mirror, 3 4 7 8 flip.
  if (orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7) mirror(image);
  if (orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8) flip(image);
  return image;
}

}  // namespace shear
