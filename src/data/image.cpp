// Images from files, and between grey and colour.
#include <algorithm>
#include <cstdio>

#include "data/codec.h"
#include "shear/error.h"

namespace shear {
namespace {

constexpr uint64_t max_side = 30'000, max_pixels = 200'000'000;

std::string first_bytes(Bytes bytes) {
  std::string shown;
  for (const uint8_t byte : bytes.first(std::min<size_t>(bytes.size(), 8))) {
    char hex[4];
    std::snprintf(hex, sizeof hex, " %02x", byte);
    shown += hex;
  }
  return shown;
}

}  // namespace

void check_dimensions(uint64_t width, uint64_t height, const std::string& name) {
  if (width == 0 || height == 0 || width > max_side || height > max_side || width * height > max_pixels)
    fail(Fault::input, name, ": claims ", width, " x ", height, " pixels, expected 1 to ", max_side,
         " a side and at most ", max_pixels / 1'000'000, " million in all");
}

Image decode_image(const std::filesystem::path& path) {
  const std::vector<uint8_t> bytes = read_bytes(path, "an image");
  if (is_jpeg(bytes)) return decode_jpeg(bytes, path.string());
  if (is_png(bytes)) return decode_png(bytes, path.string());
  if (is_webp(bytes)) return decode_webp(bytes, path.string());
  constexpr const char* expected = ", expected a JPEG, PNG or WebP image";
  if (bytes.empty()) fail(Fault::input, path.string(), ": is empty", expected);
  fail(Fault::input, path.string(), ": begins with the bytes", first_bytes(bytes), expected);
}

Image to_channels(Image from, int channels) {
  require(channels == 1 || channels == 3, "to_channels: ", channels, " channels asked, expected 1 or 3");
  require(from.channels == 1 || from.channels == 3, "to_channels: an image of ", from.channels,
          " channels, expected 1 or 3");
  if (from.channels == channels) return from;
  Image to{from.width, from.height, channels, {}};
  const size_t pixels = static_cast<size_t>(from.width) * static_cast<size_t>(from.height);
  to.pixels.resize(pixels * static_cast<size_t>(channels));
  const uint8_t* in = from.pixels.data();
  uint8_t* out = to.pixels.data();
  if (channels == 3) {
    for (size_t i = 0; i < pixels; ++i) out[3 * i] = out[3 * i + 1] = out[3 * i + 2] = in[i];
  } else {
    // 0.299 R + 0.587 G + 0.114 B in 16 fraction bits; the weights add up to 1, so grey stays exactly grey.
    for (size_t i = 0; i < pixels; ++i)
      out[i] =
          static_cast<uint8_t>((19595u * in[3 * i] + 38470u * in[3 * i + 1] + 7471u * in[3 * i + 2] + 0x8000u) >> 16);
  }
  return to;
}

}  // namespace shear
