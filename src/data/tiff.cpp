// TIFF through libtiff: its first page.
//
// Read by rows or by tiles, not by strips, which may be as large as the page.
#include <tiffio.h>

#include <array>
#include <cstdarg>
#include <cstring>
#include <memory>
#include <new>

#include "data/codec.h"
#include "data/exif.h"
#include "data/ink.h"
#include "shear/utf8.h"

namespace shear {
namespace {

constexpr size_t libtiff_bytes = 1024 * 1024;  // of tables and windows of its decoders, and of its directory
constexpr int max_samples = 8;

// What a compression may at most make of a byte: beyond it the header lies.  Those that are not here either take memory
// that nothing bounds (LZMA, ZSTD) or are not met among photos.
struct Compression {
  uint16_t id;
  uint64_t most;
};
constexpr uint64_t by_width = 0;  // a bit for a row
constexpr Compression compressions[] = {
    {COMPRESSION_NONE, 1},
    {COMPRESSION_LZW, 4096 * 8 / 12},
    {COMPRESSION_ADOBE_DEFLATE, 1032},
    {COMPRESSION_DEFLATE, 1032},
    {COMPRESSION_PACKBITS, 64},
    {COMPRESSION_JPEG, 8 * 64 * 4 * 4},
    {COMPRESSION_CCITTRLE, by_width},
    {COMPRESSION_CCITTFAX3, by_width},
    {COMPRESSION_CCITTFAX4, by_width},
};

// libtiff, reading `file`.
class File {
 public:
  File(const Encoded& file, const std::string& name) : file_(file), name_(name) {
    struct Free {
      void operator()(TIFFOpenOptions* options) const { TIFFOpenOptionsFree(options); }
    };
    const std::unique_ptr<TIFFOpenOptions, Free> options(TIFFOpenOptionsAlloc());
    if (!options) throw std::bad_alloc();
    TIFFOpenOptionsSetErrorHandlerExtR(options.get(), hear, this);
    TIFFOpenOptionsSetWarningHandlerExtR(
        options.get(), [](TIFF*, void*, const char*, const char*, va_list) { return 1; }, nullptr);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), static_cast<tmsize_t>(max_single + file.size()));
    tiff_.reset(TIFFClientOpenExt(name.c_str(), "r", this, read, write, seek, close, size, map, unmap, options.get()));
    if (!tiff_) broken();
  }

  TIFF* get() const { return tiff_.get(); }

  template <class Value>
  Value field(uint32_t tag, Value otherwise) const {
    Value value;
    return TIFFGetField(tiff_.get(), tag, &value) ? value : otherwise;
  }

  void attempt(bool ok) const {
    if (!ok) broken();
  }

 private:
  static constexpr uint64_t max_single = uint64_t{16} << 20;

  [[noreturn]] void broken() const {
    fail(Fault::input, name_, ": is a broken TIFF (", sentence_.empty() ? "no directory" : sentence_,
         "), expected a whole one");
  }

  static File& self(void* handle) { return *static_cast<File*>(handle); }

  static int hear(TIFF*, void* handle, const char*, const char* format, va_list values) {
    char sentence[256];
    std::vsnprintf(sentence, sizeof sentence, format, values);
    std::string& first = self(handle).sentence_;
    if (first.empty()) first = printable(sentence);
    while (first.ends_with('.')) first.pop_back();
    return 1;  // heard: nothing is printed
  }

  static tmsize_t read(void* handle, void* to, tmsize_t count) {
    File& file = self(handle);
    try {
      const Bytes bytes = file.file_.read(file.at_, static_cast<size_t>(count));
      std::copy(bytes.begin(), bytes.end(), static_cast<uint8_t*>(to));
      file.at_ += bytes.size();
      return static_cast<tmsize_t>(bytes.size());
    } catch (const std::exception&) {  // not through C
      return -1;
    }
  }
  static tmsize_t write(void*, void*, tmsize_t) { return 0; }
  static toff_t seek(void* handle, toff_t to, int from) {
    File& file = self(handle);
    file.at_ = to + (from == SEEK_CUR ? file.at_ : from == SEEK_END ? file.file_.size() : 0);
    return file.at_;
  }
  static int close(void*) { return 0; }
  static toff_t size(void* handle) { return self(handle).file_.size(); }
  static int map(void* handle, void** bytes, toff_t* count) {
    const Bytes all = self(handle).file_.in_memory();
    if (all.empty()) return 0;
    *bytes = const_cast<uint8_t*>(all.data());  // libtiff only reads it
    *count = all.size();
    return 1;
  }
  static void unmap(void*, void*, toff_t) {}

  struct Close {
    void operator()(TIFF* tiff) const { TIFFClose(tiff); }
  };
  const Encoded& file_;
  const std::string& name_;
  uint64_t at_ = 0;
  std::string sentence_;
  std::unique_ptr<TIFF, Close> tiff_;  // goes first: it may still speak
};

// How a page's pixels are stored.
struct Page {
  uint32_t width, height, tile_width = 0, tile_height = 0;
  uint16_t bits, samples, photometric, compression;
  bool separate;       // each channel by itself
  bool premultiplied;  // colour by alpha
  int taken;           // samples of a pixel that are needed, the first ones
  int channels;        // of our image
  int turned;
  std::array<std::array<uint8_t, 256>, 3> palette{};

  Page(const File& file, uint64_t file_bytes, const std::string& name) {
    const auto refuse = [&](const auto&... what) {
      fail(Fault::input, name, ": is a TIFF ", what...,
           ", expected grey, RGB, CMYK or a palette of up to 8 bits a sample, or of 16");
    };
    width = file.field<uint32_t>(TIFFTAG_IMAGEWIDTH, 0);
    height = file.field<uint32_t>(TIFFTAG_IMAGELENGTH, 0);
    check_dimensions(width, height, name);
    bits = file.field<uint16_t>(TIFFTAG_BITSPERSAMPLE, 1);
    samples = file.field<uint16_t>(TIFFTAG_SAMPLESPERPIXEL, 1);
    photometric = file.field<uint16_t>(TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISWHITE);
    compression = file.field<uint16_t>(TIFFTAG_COMPRESSION, COMPRESSION_NONE);
    separate = file.field<uint16_t>(TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE && samples > 1;
    const uint16_t format = file.field<uint16_t>(TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
    if (format != SAMPLEFORMAT_UINT && format != SAMPLEFORMAT_VOID) refuse("of numbers with a sign or a fraction");
    if (samples > max_samples) refuse("of ", samples, " samples a pixel");
    const Compression* kind = nullptr;
    for (const Compression& known : compressions)
      if (known.id == compression) kind = &known;
    if (!kind)
      fail(Fault::input, name, ": is a TIFF of compression ", compression,
           ", expected none, LZW, Deflate, PackBits, JPEG or CCITT");
    if (photometric == PHOTOMETRIC_YCBCR && compression == COMPRESSION_JPEG && !separate) {
      TIFFSetField(file.get(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
      photometric = PHOTOMETRIC_RGB;
    }
    const bool colour = photometric == PHOTOMETRIC_RGB, cmyk = photometric == PHOTOMETRIC_SEPARATED;
    const bool palette_image = photometric == PHOTOMETRIC_PALETTE;
    const bool grey = photometric == PHOTOMETRIC_MINISBLACK || photometric == PHOTOMETRIC_MINISWHITE;
    if (!colour && !cmyk && !palette_image && !grey) refuse("of photometric interpretation ", photometric);
    const bool narrow = (bits == 1 || bits == 2 || bits == 4) && samples == 1 && (grey || palette_image);
    if (!narrow && bits != 8 && !(bits == 16 && !palette_image)) refuse("of ", bits, " bits a sample");
    taken = colour ? 3 : cmyk ? 4 : 1;
    if (samples < taken) refuse("of ", samples, " samples a pixel");
    uint16_t extra = 0, *extras = nullptr;
    premultiplied = colour && samples > 3 && TIFFGetField(file.get(), TIFFTAG_EXTRASAMPLES, &extra, &extras) &&
                    extra > 0 && extras[0] == EXTRASAMPLE_ASSOCALPHA;
    if (premultiplied) taken = 4;
    channels = grey ? 1 : 3;
    if (palette_image) read_palette(file);
    if (TIFFIsTiled(file.get())) {
      tile_width = file.field<uint32_t>(TIFFTAG_TILEWIDTH, 0);
      tile_height = file.field<uint32_t>(TIFFTAG_TILELENGTH, 0);
      check_dimensions(tile_width, tile_height, name);
    }
    const uint64_t most = kind->most == by_width ? std::max(width, tile_width) : kind->most;
    const uint64_t unit = tile_width ? uint64_t{tile_width} * tile_height : 0, all = uint64_t{width} * height;
    if (std::max(unit, all) * bits / 8 > most * file_bytes)  // of at least one sample
      fail(Fault::input, name, ": claims ", width, " x ", height, " pixels, more than its ", file_bytes,
           " bytes can hold");
    turned = orientation_in(file);
  }

  // What is taken beside the pixels.
  size_t beside(const File& file, uint64_t file_bytes) const {
    const size_t unit = static_cast<size_t>(tile_width ? TIFFTileSize64(file.get()) : TIFFScanlineSize64(file.get()));
    size_t bytes = libtiff_bytes + 3 * unit + size_t{width} * 4;
    if (collected()) bytes += size_t{width} * height * static_cast<size_t>(taken);
    if (file.field<uint16_t>(TIFFTAG_FILLORDER, FILLORDER_MSB2LSB) == FILLORDER_LSB2MSB) bytes += file_bytes;  // a copy
    if (compression == COMPRESSION_JPEG) {  // which may be progressive: then libjpeg keeps two bytes a sample
      const size_t rows =
          tile_width ? tile_height : std::min(file.field<uint32_t>(TIFFTAG_ROWSPERSTRIP, height), height);
      bytes += 2 * size_t{samples} * std::max(width, tile_width) * rows;
    }
    return bytes;
  }

  // Channels that come one after another are collected before they become pixels, unless they are that already.
  bool collected() const { return separate && taken != channels; }

 private:
  void read_palette(const File& file) {
    uint16_t* colours[3] = {};
    file.attempt(TIFFGetField(file.get(), TIFFTAG_COLORMAP, &colours[0], &colours[1], &colours[2]));
    for (size_t c = 0; c < 3; ++c)
      for (size_t i = 0; i < (size_t{1} << bits); ++i) palette[c][i] = static_cast<uint8_t>(colours[c][i] >> 8);
  }

  static int orientation_in(const File& file) {
    uint16_t tag = 0;
    if (TIFFGetField(file.get(), TIFFTAG_ORIENTATION, &tag)) return tag;
    uint32_t count = 0;
    const uint8_t* packet = nullptr;
    if (!TIFFGetField(file.get(), TIFFTAG_XMLPACKET, &count, &packet)) return 1;
    return orientation({}, {packet, count});
  }
};

// The first `taken` of every `samples` samples of `count` pixels, in 8 bits: of 16 the higher ones, of fewer than 8 as
// they are, grey stretched to 255.
void narrow(const uint8_t* in, const Page& page, size_t samples, size_t taken, size_t count, uint8_t* out,
            size_t step) {
  if (page.bits == 16) {
    for (size_t i = 0; i < count; ++i, in += 2 * samples, out += step)
      for (size_t s = 0; s < taken; ++s) {
        uint16_t value;
        std::memcpy(&value, in + 2 * s, 2);
        out[s] = static_cast<uint8_t>(value >> 8);
      }
  } else if (page.bits == 8) {
    for (size_t i = 0; i < count; ++i, in += samples, out += step)
      for (size_t s = 0; s < taken; ++s) out[s] = in[s];
  } else {
    const unsigned most = (1u << page.bits) - 1, stretch = page.photometric == PHOTOMETRIC_PALETTE ? 1 : 255 / most;
    for (size_t i = 0, bit = 0; i < count; ++i, bit += page.bits, out += step)
      *out = static_cast<uint8_t>((in[bit / 8] >> (8 - page.bits - bit % 8) & most) * stretch);
  }
}

// `count` pixels of `page.taken` samples of 8 bits, to ours.  They may be the same.
void to_pixels(const uint8_t* in, const Page& page, size_t count, uint8_t* out) {
  switch (page.photometric) {
    case PHOTOMETRIC_MINISWHITE:
      for (size_t i = 0; i < count; ++i) out[i] = static_cast<uint8_t>(255 - in[i]);
      break;
    case PHOTOMETRIC_PALETTE:
      for (size_t i = 0; i < count; ++i)
        for (size_t c = 0; c < 3; ++c) out[3 * i + c] = page.palette[c][in[i]];
      break;
    case PHOTOMETRIC_SEPARATED:
      for (size_t i = 0; i < count; ++i)
        for (size_t c = 0; c < 3; ++c) out[3 * i + c] = through_ink(255u - in[4 * i + 3], in[4 * i + c]);
      break;
    case PHOTOMETRIC_RGB:
      if (page.premultiplied) {
        for (size_t i = 0; i < count; ++i)
          for (size_t c = 0; c < 3; ++c) {
            const unsigned alpha = in[4 * i + 3];
            out[3 * i + c] = static_cast<uint8_t>(alpha == 0 ? 0 : std::min(255u, in[4 * i + c] * 255u / alpha));
          }
        break;
      }
      [[fallthrough]];
    default:
      if (in != out) std::copy_n(in, count * static_cast<size_t>(page.channels), out);
  }
}

// Hands every part of a page to `put(samples, x, y, count, sample)`: `count` pixels from (x, y) on, of all samples or,
// where they are separate, of one.
template <class Put>
void for_each_run(const File& file, const Page& page, const Put& put) {
  const int planes = page.separate ? page.taken : 1;
  if (!page.tile_width) {
    std::vector<uint8_t> row(static_cast<size_t>(TIFFScanlineSize64(file.get())));
    for (int s = 0; s < planes; ++s)
      for (uint32_t y = 0; y < page.height; ++y) {
        file.attempt(TIFFReadScanline(file.get(), row.data(), y, static_cast<uint16_t>(s)) == 1);
        put(row.data(), 0u, y, page.width, s);
      }
    return;
  }
  std::vector<uint8_t> tile(static_cast<size_t>(TIFFTileSize64(file.get())));
  const size_t stride = static_cast<size_t>(TIFFTileRowSize64(file.get()));
  for (int s = 0; s < planes; ++s)
    for (uint32_t top = 0; top < page.height; top += page.tile_height)
      for (uint32_t left = 0; left < page.width; left += page.tile_width) {
        file.attempt(TIFFReadTile(file.get(), tile.data(), left, top, 0, static_cast<uint16_t>(s)) >= 0);
        const uint32_t across = std::min(page.tile_width, page.width - left);
        for (uint32_t y = 0; y < std::min(page.tile_height, page.height - top); ++y)
          put(tile.data() + y * stride, left, top + y, across, s);
      }
}

}  // namespace

bool is_tiff(Bytes bytes) {
  for (const std::string_view beginning : {std::string_view("II*\0", 4), std::string_view("MM\0*", 4),
                                           std::string_view("II+\0", 4), std::string_view("MM\0+", 4)})
    if (begins_with(bytes, beginning)) return true;
  return false;
}

ImageHeader tiff_header(const Encoded& bytes, const std::string& name) {
  const File file(bytes, name);
  const Page page(file, bytes.size(), name);
  return make_header(static_cast<int>(page.width), static_cast<int>(page.height), page.channels, bytes.size(),
                     page.beside(file, bytes.size()), page.turned);
}

Image decode_tiff(Bytes bytes, const std::string& name) {
  const Encoded encoded(bytes);
  Image image;
  int turned = 1;
  {
    const File file(encoded, name);
    const Page page(file, bytes.size(), name);
    turned = page.turned;
    const size_t width = page.width, taken = static_cast<size_t>(page.taken),
                 channels = static_cast<size_t>(page.channels);
    image = {static_cast<int>(page.width), static_cast<int>(page.height), page.channels, {}};
    image.pixels.resize(width * page.height * channels);
    std::vector<uint8_t> collected(page.collected() ? width * page.height * taken : 0);
    std::vector<uint8_t> samples(page.separate ? 0 : width * taken);
    for_each_run(file, page, [&](const uint8_t* in, uint32_t x, uint32_t y, uint32_t count, int sample) {
      const size_t at = y * width + x;
      if (page.separate) {
        uint8_t* all = page.collected() ? collected.data() : image.pixels.data();
        narrow(in, page, 1, 1, count, all + at * taken + sample, taken);
      } else {
        narrow(in, page, page.samples, taken, count, samples.data(), taken);
        to_pixels(samples.data(), page, count, image.pixels.data() + at * channels);
      }
    });
    if (page.separate)
      to_pixels(page.collected() ? collected.data() : image.pixels.data(), page, width * page.height,
                image.pixels.data());
  }
  return upright(std::move(image), turned);
}

}  // namespace shear
