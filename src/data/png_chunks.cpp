// The chunks of a PNG.  (W3C, "Portable Network Graphics", 5.3 and 11.3.)
#include "data/png_chunks.h"

#include <zlib.h>

#include <optional>

#include "data/exif.h"
#include "shear/error.h"
#include "shear/utf8.h"

namespace shear {
namespace {

constexpr size_t signature_bytes = 8, head_bytes = 8, sum_bytes = 4;  // a chunk: length and type, data, sum
constexpr size_t max_text = size_t{1} << 20;  // Pillow's limit for a text, unpacked; no more of any is read
constexpr size_t max_key = 80;

uint32_t big_endian(Bytes bytes, size_t at) {
  return uint32_t{bytes[at]} << 24 | uint32_t{bytes[at + 1]} << 16 | uint32_t{bytes[at + 2]} << 8 | bytes[at + 3];
}

// Nothing where it is no zlib stream or unpacks to more than max_text.
std::vector<uint8_t> inflated(Bytes packed) {
  std::vector<uint8_t> text(max_text);
  uLongf size = text.size();
  if (uncompress(text.data(), &size, packed.data(), packed.size()) != Z_OK) size = 0;
  text.resize(size);
  return text;
}

// What stands behind the first zero of `bytes`; nothing where there is none.
std::optional<Bytes> behind_zero(Bytes bytes) {
  const size_t at = characters(bytes).find('\0');
  if (at == std::string_view::npos) return {};
  return bytes.subspan(at + 1);
}

// The text of a tEXt, zTXt or iTXt chunk.
std::vector<uint8_t> text_of(std::string_view type, Bytes chunk) {
  std::optional<Bytes> rest = behind_zero(chunk);  // the key
  bool packed = type == "zTXt";
  if (type == "iTXt") {
    if (!rest || rest->size() < 2) return {};
    packed = (*rest)[0] != 0;
    rest = behind_zero(rest->subspan(2));  // method, language
    if (rest) rest = behind_zero(*rest);   // the key, translated
  } else if (packed && rest && !rest->empty()) {
    rest = rest->subspan(1);  // method
  }
  if (!rest) return {};
  return packed ? inflated(*rest) : std::vector<uint8_t>(rest->begin(), rest->end());
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// ImageMagick's way of keeping EXIF: a line that is empty, one with its name, one with its length, lines of hex.
std::vector<uint8_t> raw_profile(Bytes text) {
  std::string_view rest = characters(text);
  for (int line = 0; line < 3; ++line) {
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) return {};
    rest.remove_prefix(end + 1);
  }
  std::vector<uint8_t> bytes;
  int high = -1;
  for (const char c : rest) {
    if (c == '\n' || c == ' ') continue;
    const int value = digit(c);
    if (value < 0) return {};
    if (high >= 0) bytes.push_back(static_cast<uint8_t>(high << 4 | value));
    high = high < 0 ? value : -1;
  }
  return bytes;
}

// What of a PNG's chunks says how the image was held; of each kind the last counts.
struct Held {
  std::optional<std::vector<uint8_t>> exif, profile;
  std::vector<uint8_t> xmp;

  void read(std::string_view type, const Encoded& file, uint64_t at, size_t length) {
    length = std::min(length, max_text);
    if (type == "eXIf") {
      exif = copy(file.read(at, length));
    } else if (type == "tEXt" || type == "zTXt" || type == "iTXt") {
      const std::string_view beginning = characters(file.read(at, std::min(length, max_key)));
      const std::string key(beginning.substr(0, beginning.find('\0')));
      if (key == "Raw profile type exif")
        profile = raw_profile(text_of(type, file.read(at, length)));
      else if (key == "exif" && type == "tEXt")
        exif = text_of(type, file.read(at, length));
      else if (key == "XML:com.adobe.xmp")
        xmp = text_of(type, file.read(at, length));
    }
  }

  int orientation() const {
    const std::vector<uint8_t> none;
    return shear::orientation(exif ? *exif : profile ? *profile : none, xmp);
  }

 private:
  static std::vector<uint8_t> copy(Bytes bytes) { return {bytes.begin(), bytes.end()}; }
};

// A palette's chunk with as many whole entries as `bits` can count: what stands behind them no pixel can mean.
std::vector<uint8_t> shortened(Bytes palette, int bits) {
  const size_t entries = std::min(palette.size() / 3, size_t{1} << bits), length = 3 * entries;
  std::vector<uint8_t> chunk{0, 0, static_cast<uint8_t>(length >> 8), static_cast<uint8_t>(length), 'P', 'L', 'T', 'E'};
  chunk.insert(chunk.end(), palette.begin(), palette.begin() + static_cast<ptrdiff_t>(length));
  const uLong sum = crc32(0, chunk.data() + 4, static_cast<uInt>(4 + length));
  for (int shift = 24; shift >= 0; shift -= 8) chunk.push_back(static_cast<uint8_t>(sum >> shift));
  return chunk;
}

}  // namespace

PngChunks png_chunks(const Encoded& file, const std::string& name) {
  constexpr int indexed = 3;  // a colour type
  const bool in_memory = !file.in_memory().empty();
  PngChunks chunks;
  if (in_memory) chunks.parts.push_back(file.read(0, signature_bytes));
  Held held;
  int bits = 0, colours = 0;
  bool pixels = false;
  for (uint64_t at = signature_bytes;;) {
    const Bytes head = file.read(at, head_bytes);
    if (head.size() < head_bytes) break;
    const size_t length = big_endian(head, 0);
    const std::string type(characters(head.subspan(4)));
    const uint64_t data = at + head_bytes, end = std::min(data + length + sum_bytes, file.size());
    const bool whole = data + length + sum_bytes <= file.size();
    if (type == "IHDR" && whole && length > 9) {
      const Bytes kind = file.read(data + 8, 2);
      bits = std::min<int>(kind[0], 8), colours = kind[1];
    }
    pixels = pixels || type == "IDAT";
    const bool palette = type == "PLTE" && colours == indexed;
    if (palette && in_memory && whole && (length % 3 != 0 || length > size_t{3} << bits)) {
      chunks.palette = shortened(file.read(data, length), bits);
      chunks.parts.push_back(chunks.palette);
    } else if (palette || type == "IHDR" || type == "IDAT" || type == "IEND") {
      if (in_memory) chunks.parts.push_back(file.read(at, end - at));
    } else if (whole) {
      held.read(type, file, data, length);
      if (in_memory && !pixels) {
        const Bytes all = file.read(at + 4, 4 + length + sum_bytes);
        if (crc32_z(0, all.data(), 4 + length) != big_endian(all, 4 + length))
          fail(Fault::input, name, ": is a broken PNG (a wrong sum of its chunk ", printable(type),
               "), expected a whole one");
      }
    }
    if (type == "IEND") break;
    at = end;
  }
  chunks.orientation = held.orientation();
  return chunks;
}

}  // namespace shear
