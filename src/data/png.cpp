// PNG through libspng.
#include <spng.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>

#include "data/codec.h"
#include "data/exif.h"
#include "data/png_chunks.h"
#include "shear/error.h"

namespace shear {
namespace {

constexpr std::array<uint8_t, 8> signature{0x89, 'P', 'N', 'G', 0x0d, 0x0a, 0x1a, 0x0a};
constexpr uint64_t max_deflate_ratio = 1032;  // no deflate stream expands further
constexpr size_t header_bytes = 33;           // the signature and the first chunk

// What libspng takes for itself: zlib's window, and rows of up to 4 channels of 16 bits.
constexpr size_t libspng_bytes = 128 * 1024, rows = 3, row_bytes = 8;

// What the pixels look like once decoded by libspng: transparency, of whatever kind, is left out.
struct Pixels {
  int channels;  // of our image
  spng_format format;
  size_t stored;  // bytes a pixel in `format`
};

Pixels layout(const spng_ihdr& header) {
  const bool grey =
      header.color_type == SPNG_COLOR_TYPE_GRAYSCALE || header.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA;
  if (header.color_type == SPNG_COLOR_TYPE_GRAYSCALE && header.bit_depth <= 8) return {1, SPNG_FMT_G8, 1};
  // libspng turns 16 bits into 8 only on the way to RGB and RGBA: grey then stands in R.
  return {grey ? 1 : 3, SPNG_FMT_RGB8, 3};
}

// libspng, given a file's parts one after another.
class Decoder {
 public:
  Decoder(std::vector<Bytes> parts, const std::string& name)
      : parts_(std::move(parts)), name_(name), context_(spng_ctx_new(0)) {
    if (!context_) throw std::bad_alloc();
    attempt(spng_set_png_stream(context_.get(), give, this));
  }

  // Of `file` bytes in all.
  spng_ihdr header(uint64_t file) {
    spng_ihdr found{};
    attempt(spng_get_ihdr(context_.get(), &found));
    check_dimensions(found.width, found.height, name_);
    // The header is the file's word alone: hold the room it asks for against the bytes there are.
    const uint64_t bits = uint64_t{found.width} * found.height * found.bit_depth;  // of at least one channel
    if (bits / 8 > max_deflate_ratio * file)
      fail(Fault::input, name_, ": claims ", found.width, " x ", found.height, " pixels, more than its ", file,
           " bytes can hold");
    return found;
  }

  void decode(std::vector<uint8_t>& pixels, spng_format format) {
    attempt(spng_decode_image(context_.get(), pixels.data(), pixels.size(), format, 0));
  }

 private:
  struct Free {
    void operator()(spng_ctx* context) const { spng_ctx_free(context); }
  };

  static int give(spng_ctx*, void* self, void* to, size_t length) {
    return static_cast<Decoder*>(self)->next(static_cast<uint8_t*>(to), length);
  }

  int next(uint8_t* to, size_t length) {
    while (length > 0) {
      if (part_ == parts_.size()) return SPNG_IO_EOF;
      Bytes& part = parts_[part_];
      const size_t count = std::min(length, part.size());
      to = std::copy_n(part.data(), count, to);
      part = part.subspan(count);
      length -= count;
      if (part.empty()) ++part_;
    }
    return SPNG_OK;
  }

  void attempt(int status) const {
    if (status == SPNG_EMEM) throw std::bad_alloc();
    if (status != SPNG_OK)
      fail(Fault::input, name_, ": is a broken PNG (", spng_strerror(status), "), expected a whole one");
  }

  std::vector<Bytes> parts_;
  size_t part_ = 0;
  const std::string& name_;
  std::unique_ptr<spng_ctx, Free> context_;
};

}  // namespace

bool is_png(Bytes bytes) {
  return bytes.size() >= signature.size() && std::equal(signature.begin(), signature.end(), bytes.begin());
}

ImageHeader png_header(const Encoded& file, const std::string& name) {
  const spng_ihdr header = Decoder({file.read(0, header_bytes)}, name).header(file.size());
  const Pixels as = layout(header);
  const size_t pixels = size_t{header.width} * header.height;
  const size_t beside =
      libspng_bytes + rows * row_bytes * header.width + pixels * (as.stored - static_cast<size_t>(as.channels));
  return make_header(static_cast<int>(header.width), static_cast<int>(header.height), as.channels, file.size(), beside,
                     png_chunks(file, name).orientation);
}

Image decode_png(Bytes bytes, const std::string& name) {
  const PngChunks chunks = png_chunks(Encoded(bytes), name);
  Decoder decoder(chunks.parts, name);
  const spng_ihdr header = decoder.header(bytes.size());
  const Pixels as = layout(header);
  const size_t pixels = size_t{header.width} * header.height;
  Image image{static_cast<int>(header.width), static_cast<int>(header.height), as.channels, {}};
  image.pixels.resize(pixels * as.stored);
  decoder.decode(image.pixels, as.format);
  if (as.stored != static_cast<size_t>(as.channels)) {
    for (size_t i = 0; i < pixels; ++i) image.pixels[i] = image.pixels[as.stored * i];
    image.pixels.resize(pixels);
  }
  return upright(std::move(image), chunks.orientation);
}

}  // namespace shear
