// Orientation in EXIF (CIPA DC-008, "Exchangeable image file format", 4.6) and XMP, and turning pixels by it.
#include "data/exif.h"

#include <algorithm>

#include "data/resample.h"

namespace shear {
namespace {

uint32_t number(Bytes bytes, size_t at, size_t count, bool little) {
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i) value = value << 8 | bytes[little ? at + count - 1 - i : at + i];
  return value;
}

// Of the types that hold one whole number (BYTE is not among those that Pillow takes for one).
size_t bytes_of_type(uint32_t type) {
  switch (type) {
    case 6:  // SBYTE
      return 1;
    case 3:  // SHORT
    case 8:  // SSHORT
      return 2;
    case 4:   // LONG
    case 9:   // SLONG
    case 13:  // IFD
      return 4;
    default:
      return 0;
  }
}

int in_range(uint32_t value) { return value >= 1 && value <= 8 ? static_cast<int>(value) : 1; }

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

int orientation(Bytes exif, Bytes xmp) {
  std::optional<int> found = exif_orientation(exif);
  if (!found) found = xmp_orientation(xmp);
  return found.value_or(1);
}

std::optional<int> exif_orientation(Bytes tiff) {
  constexpr uint32_t orientation = 0x0112;
  constexpr size_t entry_bytes = 12;
  constexpr std::string_view prefix("Exif\0\0", 6);
  for (int i = 0; i < 2 && begins_with(tiff, prefix); ++i) tiff = tiff.subspan(prefix.size());  // some write it twice
  if (tiff.size() < 10) return {};
  const bool little = begins_with(tiff, {"II*\0", 4});
  if (!little && !begins_with(tiff, {"MM\0*", 4})) return {};
  const size_t directory = number(tiff, 4, 4, little);
  if (directory > tiff.size() - 2) return {};
  const size_t entries = number(tiff, directory, 2, little);
  for (size_t i = 0, at = directory + 2; i < entries && at + entry_bytes <= tiff.size(); ++i, at += entry_bytes) {
    if (number(tiff, at, 2, little) != orientation) continue;
    const size_t width = bytes_of_type(number(tiff, at + 2, 2, little)), count = number(tiff, at + 4, 4, little);
    if (count == 0) continue;  // says nothing: as if it were not there
    if (width == 0) return 1;
    const bool here = width * count <= 4;  // else the entry says where
    const size_t value = here ? at + 8 : number(tiff, at + 8, 4, little);
    if (value > tiff.size() || width * count > tiff.size() - value) continue;
    return in_range(number(tiff, value, width, little));
  }
  return {};
}

std::optional<int> xmp_orientation(Bytes packet) {
  constexpr std::string_view name = "tiff:Orientation";
  const std::string_view all = characters(packet);
  for (size_t at = all.find(name); at != std::string_view::npos; at = all.find(name, at + 1)) {
    std::string_view value = all.substr(at + name.size());
    if (value.starts_with("=\""))
      value.remove_prefix(2);
    else if (value.starts_with(">"))
      value.remove_prefix(1);
    else
      continue;
    if (!value.empty() && value[0] >= '0' && value[0] <= '9') return in_range(static_cast<uint32_t>(value[0] - '0'));
  }
  return {};
}

Image upright(Image image, int orientation) {
  if (orientation >= 5) image = transposed(view(image));
  // What is left to do, after the transposition where there is one: 2 3 6 7 mirror, 3 4 7 8 flip.
  if (orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7) mirror(image);
  if (orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8) flip(image);
  return image;
}

}  // namespace shear
