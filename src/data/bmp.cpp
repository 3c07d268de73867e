// BMP.  (Microsoft, "Bitmap Storage"; OS/2's older header, too.)
//
// Read by us: stb_image, the reader that Debian has, knows no run lengths and rounds 5 and 6 bits otherwise than
// Pillow.
#include <array>
#include <bit>

#include "data/codec.h"
#include "data/exif.h"

namespace shear {
namespace {

constexpr size_t file_header = 14, core_header = 12, header_bytes = file_header + 124;
enum Compression : uint32_t { raw, rle8, rle4, bitfields };

using Colour = std::array<uint8_t, 3>;

uint32_t number(Bytes bytes, size_t at, size_t count, const std::string& name) {
  if (at + count > bytes.size()) fail(Fault::input, name, ": is a broken BMP (it ends early), expected a whole one");
  uint32_t value = 0;
  while (count > 0) value = value << 8 | bytes[at + --count];
  return value;
}

struct BmpHeader {
  uint32_t width, height, bits, compression = raw, colours = 0;
  bool top_down = false;
  size_t palette_at, palette_entry = 4, pixels_at;
  std::array<uint32_t, 3> masks{};  // of R, G and B, where they are given

  BmpHeader(Bytes file, const std::string& name) {
    const auto at = [&](size_t offset, size_t count) { return number(file, offset, count, name); };
    const size_t size = at(file_header, 4);
    const auto known = {core_header, size_t{40}, size_t{52}, size_t{56}, size_t{64}, size_t{108}, size_t{124}};
    if (std::find(known.begin(), known.end(), size) == known.end())
      fail(Fault::input, name, ": is a BMP with a header of ", size, " bytes, expected 12, 40, 52, 56, 64, 108 or 124");
    palette_at = file_header + size;
    pixels_at = at(10, 4);
    if (size == core_header) {
      width = at(18, 2);
      height = at(20, 2);
      bits = at(24, 2);
      palette_entry = 3;
    } else {
      width = at(18, 4);
      height = at(22, 4);
      top_down = height >> 24 == 0xff;  // negative
      if (top_down) height = -height;
      bits = at(28, 2);
      compression = at(30, 4);
      colours = at(46, 4);
      if (compression == bitfields) {
        for (size_t i = 0; i < 3; ++i) masks[i] = at(file_header + 40 + 4 * i, 4);  // in the header or behind it
        if (size == 40) palette_at += 12;
      }
    }
    check_dimensions(width, height, name);
    if (colours == 0 || bits > 8) colours = bits <= 8 ? 1u << bits : 0;
    if (pixels_at == file_header + size) pixels_at += palette_entry * colours;  // the palette was left out of account
    if (pixels_at == 0) pixels_at = palette_at + palette_entry * colours;
    check_kind(name);
  }

  size_t row_bytes() const { return (size_t{width} * bits + 31) / 32 * 4; }

 private:
  void check_kind(const std::string& name) const {
    const bool palette = bits == 1 || bits == 4 || bits == 8, colour = bits == 16 || bits == 24 || bits == 32;
    if (!palette && !colour)
      fail(Fault::input, name, ": is a BMP of ", bits, " bits a pixel, expected 1, 4, 8, 16, 24 or 32");
    const bool fits = compression == raw || (compression == rle8 && bits == 8) || (compression == rle4 && bits == 4) ||
                      (compression == bitfields && colour);
    if (!fits)
      fail(Fault::input, name, ": is a BMP of compression ", compression, " and ", bits,
           " bits a pixel, expected none, run lengths of 4 or 8 bits, or bit fields");
  }
};

std::array<Colour, 256> palette(const BmpHeader& header, Bytes file, const std::string& name) {
  std::array<Colour, 256> colours{};
  for (size_t i = 0; i < std::min<size_t>(header.colours, 256); ++i) {
    const uint32_t entry = number(file, header.palette_at + header.palette_entry * i, 3, name);
    colours[i] = {static_cast<uint8_t>(entry >> 16), static_cast<uint8_t>(entry >> 8), static_cast<uint8_t>(entry)};
  }
  return colours;
}

// A palette in which each index is its own shade: the image is grey.
bool is_grey(const BmpHeader& header, const std::array<Colour, 256>& colours) {
  if (header.bits != 8 && header.bits != 1) return false;
  for (size_t i = 0; i < std::min<size_t>(header.colours, size_t{1} << header.bits); ++i) {
    const uint8_t shade = static_cast<uint8_t>(header.bits == 1 ? 255 * i : i);
    if (colours[i] != Colour{shade, shade, shade}) return false;
  }
  return true;
}

// Where the channels of a pixel of 16, 24 or 32 bits lie.
struct Field {
  int shift;
  uint32_t most;
};
std::array<Field, 3> fields(const BmpHeader& header, const std::string& name) {
  std::array<uint32_t, 3> masks = header.masks;
  if (masks == std::array<uint32_t, 3>{})
    masks = header.bits == 16 ? std::array{0x7c00u, 0x3e0u, 0x1fu} : std::array{0xff0000u, 0xff00u, 0xffu};
  std::array<Field, 3> found{};
  for (size_t c = 0; c < 3; ++c) {
    const int shift = std::countr_zero(masks[c]), width = std::popcount(masks[c]);
    if (width < 1 || width > 8 || masks[c] >> shift != (1u << width) - 1 ||
        shift + width > static_cast<int>(header.bits))
      fail(Fault::input, name, ": is a BMP with the bit fields ", masks[0], ", ", masks[1], " and ", masks[2],
           ", expected up to 8 bits in a row for each channel");
    found[c] = {shift, (1u << width) - 1};
  }
  return found;
}

// Run lengths: every pixel's index, from the bottom row on.  What is skipped has index 0.  As Pillow reads them: the
// end of a line that is full already says nothing.
std::vector<uint8_t> unpacked(const BmpHeader& header, Bytes file, const std::string& name) {
  const size_t width = header.width, all = width * header.height;
  const bool four = header.compression == rle4;
  std::vector<uint8_t> indices;
  indices.reserve(all);
  size_t at = header.pixels_at, column = 0;
  const auto next = [&] { return static_cast<uint8_t>(number(file, at++, 1, name)); };
  const auto append = [&](size_t count, uint8_t index) {
    indices.insert(indices.end(), std::min(count, all - indices.size()), index);
  };
  while (indices.size() < all) {
    const size_t count = next();
    const uint8_t value = next();
    if (count > 0) {
      const size_t run = std::min(count, width - std::min(column, width));
      for (size_t i = 0; i < run; ++i) append(1, !four ? value : i % 2 == 0 ? value >> 4 : value & 15);
      column += run;
    } else if (value == 0) {
      append((width - indices.size() % width) % width, 0);
      column = 0;
    } else if (value == 1) {
      fail(Fault::input, name, ": is a broken BMP (it ends early), expected a whole one");
    } else if (value == 2) {
      const size_t right = next(), up = next();
      append(right + up * width, 0);
      column = indices.size() % width;
    } else {
      for (size_t i = 0; i < value; ++i) {
        const uint8_t byte = number(file, at + (four ? i / 2 : i), 1, name) & 0xff;
        append(1, !four ? byte : i % 2 == 0 ? byte >> 4 : byte & 15);
      }
      column += value;
      at += four ? (value + size_t{1}) / 2 : value;
      at += at % 2;
    }
  }
  return indices;
}

size_t stored_bytes(const BmpHeader& header) {  // the last row may lack what fills it up
  return header.row_bytes() * (header.height - 1) + (size_t{header.width} * header.bits + 7) / 8;
}

void check_size(const BmpHeader& header, uint64_t file, const std::string& name) {
  const bool runs = header.compression == rle8 || header.compression == rle4;
  if (!runs && header.pixels_at + stored_bytes(header) > file)
    fail(Fault::input, name, ": is a broken BMP (", file, " bytes for ", header.width, " x ", header.height,
         " pixels), expected a whole one");
}

int channels(const BmpHeader& header, Bytes file, const std::string& name) {
  return header.bits <= 8 && is_grey(header, palette(header, file, name)) ? 1 : 3;
}

}  // namespace

// Two letters begin texts as well; the size of the second header is a small number.
bool is_bmp(Bytes bytes) {
  return bytes.size() >= file_header + 4 && begins_with(bytes, "BM") && bytes[file_header + 1] == 0 &&
         bytes[file_header + 2] == 0 && bytes[file_header + 3] == 0;
}

ImageHeader bmp_header(const Encoded& file, const std::string& name) {
  return header_of_beginning(file, [&](Bytes head) {
    const BmpHeader header(head, name);
    check_size(header, file.size(), name);
    if (header.bits > 8) fields(header, name);
    const size_t indices =
        header.compression == rle8 || header.compression == rle4 ? size_t{header.width} * header.height : 0;
    return make_header(static_cast<int>(header.width), static_cast<int>(header.height), channels(header, head, name),
                       file.size(), indices, 1);
  });
}

Image decode_bmp(Bytes file, const std::string& name) {
  const BmpHeader header(file, name);
  check_size(header, file.size(), name);
  const size_t width = header.width, height = header.height;
  Image image{static_cast<int>(width), static_cast<int>(height), channels(header, file, name), {}};
  const bool runs = header.compression == rle8 || header.compression == rle4;
  const std::vector<uint8_t> indices = runs ? unpacked(header, file, name) : std::vector<uint8_t>();
  const std::array<Colour, 256> colours = header.bits <= 8 ? palette(header, file, name) : std::array<Colour, 256>{};
  const std::array<Field, 3> channel = header.bits > 8 ? fields(header, name) : std::array<Field, 3>{};
  image.pixels.resize(width * height * static_cast<size_t>(image.channels));
  const uint8_t white = header.bits == 1 ? 255 : 1;
  for (size_t y = 0; y < height; ++y) {
    const uint8_t* in = runs ? indices.data() + y * width : file.data() + header.pixels_at + y * header.row_bytes();
    uint8_t* out =
        image.pixels.data() + (header.top_down ? y : height - 1 - y) * width * static_cast<size_t>(image.channels);
    const auto index = [&](size_t x) -> uint8_t {
      if (runs || header.bits == 8) return in[x];
      const size_t bit = x * header.bits;
      return static_cast<uint8_t>(in[bit / 8] >> (8 - header.bits - bit % 8) & ((1u << header.bits) - 1));
    };
    if (image.channels == 1) {
      for (size_t x = 0; x < width; ++x) out[x] = static_cast<uint8_t>(index(x) * white);
    } else if (header.bits <= 8) {
      for (size_t x = 0; x < width; ++x) std::copy_n(colours[index(x)].data(), 3, out + 3 * x);
    } else {
      const size_t bytes = header.bits / 8;
      for (size_t x = 0; x < width; ++x, in += bytes) {
        uint32_t pixel = in[0] | uint32_t{in[1]} << 8;
        if (bytes > 2) pixel |= uint32_t{in[2]} << 16;
        if (bytes > 3) pixel |= uint32_t{in[3]} << 24;
        for (size_t c = 0; c < 3; ++c)
          out[3 * x + c] = static_cast<uint8_t>((pixel >> channel[c].shift & channel[c].most) * 255 / channel[c].most);
      }
    }
  }
  return image;
}

}  // namespace shear
