// PNG through libspng.
#include <spng.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>

#include "data/codec.h"
#include "shear/error.h"

namespace shear {
namespace {

constexpr std::array<uint8_t, 8> signature{0x89, 'P', 'N', 'G', 0x0d, 0x0a, 0x1a, 0x0a};
constexpr uint64_t max_deflate_ratio = 1032;  // no deflate stream expands further
constexpr size_t max_chunk = size_t{1} << 26;

// What the pixels look like once decoded by libspng.
struct Layout {
  int channels;  // of our image
  spng_format format;
  int stored;  // bytes a pixel in `format`
  bool alpha;
};

Layout layout(const spng_ihdr& header, bool transparency) {
  const bool has_alpha = transparency || header.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA ||
                         header.color_type == SPNG_COLOR_TYPE_TRUECOLOR_ALPHA;
  const bool grey =
      header.color_type == SPNG_COLOR_TYPE_GRAYSCALE || header.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA;
  if (grey && !has_alpha && header.bit_depth <= 8) return {1, SPNG_FMT_G8, 1, false};
  // libspng turns 16 bits into 8 only on the way to RGB and RGBA: grey then stands in R.
  if (has_alpha || grey) return {grey ? 1 : 3, SPNG_FMT_RGBA8, 4, has_alpha};
  return {3, SPNG_FMT_RGB8, 3, false};
}

// R G B A to the image's channels, over black.
void drop_alpha(const std::vector<uint8_t>& rgba, Image& image) {
  const size_t pixels = rgba.size() / 4, channels = static_cast<size_t>(image.channels);
  for (size_t i = 0; i < pixels; ++i)
    for (size_t c = 0; c < channels; ++c)
      image.pixels[channels * i + c] = static_cast<uint8_t>((rgba[4 * i + c] * rgba[4 * i + 3] + 127) / 255);
}

}  // namespace

bool is_png(Bytes bytes) {
  return bytes.size() >= signature.size() && std::equal(signature.begin(), signature.end(), bytes.begin());
}

Image decode_png(Bytes bytes, const std::string& name) {
  struct Free {
    void operator()(spng_ctx* context) const { spng_ctx_free(context); }
  };
  const std::unique_ptr<spng_ctx, Free> context(spng_ctx_new(0));
  if (!context) throw std::bad_alloc();
  const auto attempt = [&](int status) {
    if (status == SPNG_EMEM) throw std::bad_alloc();
    if (status != SPNG_OK)
      fail(Fault::input, name, ": is a broken PNG (", spng_strerror(status), "), expected a whole one");
  };
  attempt(spng_set_chunk_limits(context.get(), max_chunk, max_chunk));
  attempt(spng_set_png_buffer(context.get(), bytes.data(), bytes.size()));
  spng_ihdr header{};
  attempt(spng_get_ihdr(context.get(), &header));
  check_dimensions(header.width, header.height, name);
  // The header is the file's word alone: hold the room it asks for against the bytes there are.
  const uint64_t bits = uint64_t{header.width} * header.height * header.bit_depth;  // of at least one channel
  if (bits / 8 > max_deflate_ratio * bytes.size())
    fail(Fault::input, name, ": claims ", header.width, " x ", header.height, " pixels, more than its ", bytes.size(),
         " bytes can hold");

  spng_trns transparency{};
  const int found = spng_get_trns(context.get(), &transparency);
  if (found != SPNG_ECHUNKAVAIL) attempt(found);
  const Layout as = layout(header, found == SPNG_OK);
  const size_t pixels = size_t{header.width} * header.height;
  Image image{static_cast<int>(header.width), static_cast<int>(header.height), as.channels, {}};
  image.pixels.resize(pixels * static_cast<size_t>(as.channels));
  if (as.format != SPNG_FMT_RGBA8) {
    attempt(spng_decode_image(context.get(), image.pixels.data(), image.pixels.size(), as.format, 0));
  } else {
    std::vector<uint8_t> rgba(pixels * static_cast<size_t>(as.stored));
    attempt(spng_decode_image(context.get(), rgba.data(), rgba.size(), as.format, SPNG_DECODE_TRNS));
    drop_alpha(rgba, image);
  }
  return image;
}

}  // namespace shear
