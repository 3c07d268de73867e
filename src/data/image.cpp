// Images from files, and between grey and colour.
#include "data/codec.h"
#include "data/signatures.h"
#include "shear/error.h"

namespace shear {
namespace {

constexpr uint64_t max_side = 30'000, max_pixels = 200'000'000;

struct Codec {
  bool (*is)(Bytes head);
  ImageHeader (*header)(const Encoded&, const std::string& name);
  Image (*decode)(Bytes, const std::string& name);
};
constexpr Codec codecs[] = {
    {is_jpeg, jpeg_header, decode_jpeg}, {is_png, png_header, decode_png}, {is_webp, webp_header, decode_webp},
    {is_gif, gif_header, decode_gif},    {is_bmp, bmp_header, decode_bmp}, {is_tiff, tiff_header, decode_tiff},
};

const Codec& codec_of(Bytes head, const std::string& name) {
  for (const Codec& codec : codecs)
    if (codec.is(head)) return codec;
  fail(Fault::input, name, ": ", what_is(head.first(std::min(head.size(), signature_bytes))),
       ", expected a JPEG, PNG, WebP, GIF, BMP or TIFF image");
}

}  // namespace

bool is_image(Bytes head) {
  return std::any_of(std::begin(codecs), std::end(codecs), [&](const Codec& codec) { return codec.is(head); });
}

void check_dimensions(uint64_t width, uint64_t height, const std::string& name) {
  if (width == 0 || height == 0 || width > max_side || height > max_side || width * height > max_pixels)
    fail(Fault::input, name, ": claims ", width, " x ", height, " pixels, expected 1 to ", max_side,
         " a side and at most ", max_pixels / 1'000'000, " million in all");
}

Image decode_image(const std::filesystem::path& path) {
  const std::vector<uint8_t> bytes = read_bytes(path, "an image");
  return codec_of(bytes, path.string()).decode(bytes, path.string());
}

ImageHeader probe_image(const std::filesystem::path& path) {
  const Encoded file(path);
  return codec_of(file.read(0, signature_bytes), path.string()).header(file, path.string());
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
