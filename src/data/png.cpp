// PNG through libspng.
#include <spng.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>

#include "data/codec.h"
#include "data/exif.h"
#include "shear/error.h"

namespace shear {
namespace {

constexpr std::array<uint8_t, 8> signature{0x89, 'P', 'N', 'G', 0x0d, 0x0a, 0x1a, 0x0a};
constexpr uint64_t max_deflate_ratio = 1032;  // no deflate stream expands further
constexpr size_t max_chunk = size_t{1} << 26;

// What the pixels look like once decoded by libspng: transparency, of whatever kind, is left out.
struct Layout {
  int channels;  // of our image
  spng_format format;
  size_t stored;  // bytes a pixel in `format`
};

Layout layout(const spng_ihdr& header) {
  const bool grey =
      header.color_type == SPNG_COLOR_TYPE_GRAYSCALE || header.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA;
  if (header.color_type == SPNG_COLOR_TYPE_GRAYSCALE && header.bit_depth <= 8) return {1, SPNG_FMT_G8, 1};
  // libspng turns 16 bits into 8 only on the way to RGB and RGBA: grey then stands in R.
  return {grey ? 1 : 3, SPNG_FMT_RGB8, 3};
}

int orientation(spng_ctx* context) {
  spng_exif exif{};
  if (spng_get_exif(context, &exif) != SPNG_OK) return 1;
  return exif_orientation({reinterpret_cast<const uint8_t*>(exif.data), exif.length});
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

  const Layout as = layout(header);
  const size_t pixels = size_t{header.width} * header.height;
  Image image{static_cast<int>(header.width), static_cast<int>(header.height), as.channels, {}};
  image.pixels.resize(pixels * as.stored);
  attempt(spng_decode_image(context.get(), image.pixels.data(), image.pixels.size(), as.format, 0));
  if (as.stored != static_cast<size_t>(as.channels)) {
    for (size_t i = 0; i < pixels; ++i) image.pixels[i] = image.pixels[as.stored * i];
    image.pixels.resize(pixels);
  }
  return upright(std::move(image), orientation(context.get()));
}

}  // namespace shear
