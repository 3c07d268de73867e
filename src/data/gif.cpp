// GIF: its first picture.  (CompuServe, "Graphics Interchange Format, Version 89a".)
//
// Read by us, not by giflib: that reads all pictures of an animation before it gives one.
#include <array>
#include <cstring>

#include "data/codec.h"
#include "data/exif.h"

namespace shear {
namespace {

constexpr uint64_t max_pixels_per_byte = 4096 * 8 / 12;  // a code of 12 bits stands for at most as many as there are
constexpr size_t table_bytes = 64 * 1024;                // of ours, beside the pixels

using Colour = std::array<uint8_t, 3>;

[[noreturn]] void broken(const std::string& name, const char* how) {
  fail(Fault::input, name, ": is a broken GIF (", how, "), expected a whole one");
}

// Bytes one after another, and an error where they end.
struct Cursor {
  Bytes bytes;
  const std::string& name;
  size_t at = 0;

  Bytes take(size_t count) {
    if (count > bytes.size() - at) broken(name, "it ends early");
    at += count;
    return bytes.subspan(at - count, count);
  }
  int byte() { return take(1)[0]; }
  Bytes block() { return take(static_cast<size_t>(byte())); }  // the last of several is empty
};

int number(Bytes bytes, size_t at) { return bytes[at] | bytes[at + 1] << 8; }

// The picture as its blocks describe it, up to its data.
struct Picture {
  int width, height;                             // of all
  int left = 0, top = 0, columns = 0, rows = 0;  // of the part that the first picture covers
  std::array<Colour, 256> colours{};             // beyond its table: black
  bool grey = true, interlaced = false;          // no table, or one in which each entry is its own number
  int background = 0, code_bits = 0;             // the index where the picture does not cover
  size_t data = 0;                               // where its data lie

  void take_table(Cursor& cursor, int flags) {
    const int entries = 2 << (flags & 7);
    const Bytes table = cursor.take(3 * static_cast<size_t>(entries));
    colours = {};
    grey = true;
    for (size_t i = 0; i < static_cast<size_t>(entries); ++i) {
      colours[i] = {table[3 * i], table[3 * i + 1], table[3 * i + 2]};
      grey = grey && colours[i] == Colour{static_cast<uint8_t>(i), static_cast<uint8_t>(i), static_cast<uint8_t>(i)};
    }
  }

  Picture(Bytes head, const std::string& name) {
    constexpr int table_flag = 0x80, interlace_flag = 0x40, transparent_flag = 1;
    constexpr int extension = '!', image = ',', end = ';', graphic_control = 0xf9;
    Cursor cursor{head, name};
    const Bytes screen = cursor.take(13);
    width = number(screen, 6);
    height = number(screen, 8);
    if (screen[10] & table_flag) take_table(cursor, screen[10]);
    for (int kind = cursor.byte(); kind != image; kind = cursor.byte()) {
      if (kind == end) broken(name, "it holds no picture");
      if (kind != extension) continue;  // stray bytes, which Pillow skips
      const int label = cursor.byte();
      Bytes block = cursor.block();
      if (label == graphic_control && block.size() >= 4 && (block[0] & transparent_flag)) background = block[3];
      while (!block.empty()) block = cursor.block();
    }
    const Bytes part = cursor.take(9);
    left = number(part, 0);
    top = number(part, 2);
    columns = number(part, 4);
    rows = number(part, 6);
    width = std::max(width, left + columns);
    height = std::max(height, top + rows);
    interlaced = (part[8] & interlace_flag) != 0;
    if (part[8] & table_flag) take_table(cursor, part[8]);
    code_bits = cursor.byte();
    data = cursor.at;
    if (code_bits < 1 || code_bits > 8) broken(name, "a code of more than 8 bits a pixel");
    if (columns == 0 || rows == 0) broken(name, "its picture is empty");
  }

  void check(uint64_t file, const std::string& name) const {
    check_dimensions(static_cast<uint64_t>(width), static_cast<uint64_t>(height), name);
    if (static_cast<uint64_t>(columns) * static_cast<uint64_t>(rows) > max_pixels_per_byte * file)
      fail(Fault::input, name, ": claims ", columns, " x ", rows, " pixels, more than its ", file, " bytes can hold");
  }

  int channels() const { return grey ? 1 : 3; }
};

// Where the next index of the picture goes.
class Pen {
 public:
  Pen(const Picture& picture, Image& image) : picture_(picture), image_(image) { begin_row(); }

  bool full() const { return full_; }

  void put(uint8_t index) {
    if (image_.channels == 1)
      *at_++ = index;
    else
      at_ = std::copy_n(picture_.colours[index].data(), 3, at_);
    if (++column_ == picture_.columns) next_row();
  }

 private:
  void begin_row() {
    at_ = image_.pixels.data() + (static_cast<size_t>(picture_.top + row_) * static_cast<size_t>(image_.width) +
                                  static_cast<size_t>(picture_.left)) *
                                     static_cast<size_t>(image_.channels);
  }

  void next_row() {
    static constexpr int first[] = {0, 4, 2, 1}, step[] = {8, 8, 4, 2};
    column_ = 0;
    row_ += picture_.interlaced ? step[pass_] : 1;
    while (picture_.interlaced && row_ >= picture_.rows && pass_ < 3) row_ = first[++pass_];
    full_ = row_ >= picture_.rows;
    if (!full_) begin_row();
  }

  const Picture& picture_;
  Image& image_;
  uint8_t* at_ = nullptr;
  int column_ = 0, row_ = 0, pass_ = 0;
  bool full_ = false;
};

// Codes of as many bits as are asked for, the lowest first, from blocks of bytes.
class Codes {
 public:
  explicit Codes(Cursor cursor) : cursor_(cursor) {}

  int next(int bits) {
    while (held_ < bits) {
      if (block_.empty()) {
        block_ = cursor_.block();
        continue;  // an empty block ends the data, but Pillow reads on
      }
      word_ |= static_cast<uint32_t>(block_[0]) << held_;
      held_ += 8;
      block_ = block_.subspan(1);
    }
    const int code = static_cast<int>(word_ & ((1u << bits) - 1));
    word_ >>= bits;
    held_ -= bits;
    return code;
  }

 private:
  Cursor cursor_;
  Bytes block_;
  uint32_t word_ = 0;
  int held_ = 0;
};

// Lempel, Ziv and Welch: a code stands for a string of indices, and each string that was sent, with the first index of
// the one that follows it, for the next free code.
void unpack(Codes codes, int code_bits, const std::string& name, Pen& pen) {
  constexpr int entries = 4096, most_bits = 12, none = -1;
  std::array<int16_t, entries> before;  // the string without its last index
  std::array<uint8_t, entries> last;
  std::array<uint8_t, entries> string;  // from its end to its beginning
  const int clear = 1 << code_bits, end = clear + 1;
  int next = end + 1, bits = code_bits + 1, previous = none;
  uint8_t first = 0;
  while (!pen.full()) {
    const int code = codes.next(bits);
    if (code == clear) {
      next = end + 1, bits = code_bits + 1, previous = none;
      continue;
    }
    if (code == end) broken(name, "it ends early");
    if (code > (previous == none ? clear : next)) broken(name, "a code that was not yet made");
    size_t length = 0;
    int rest = code;
    if (code == next) string[length++] = first, rest = previous;  // sent at once after it was made
    while (rest >= clear) {
      string[length++] = last[static_cast<size_t>(rest)];
      rest = before[static_cast<size_t>(rest)];
    }
    first = static_cast<uint8_t>(rest);
    string[length++] = first;
    if (previous != none && next < entries) {
      before[static_cast<size_t>(next)] = static_cast<int16_t>(previous);
      last[static_cast<size_t>(next)] = first;
      if (next == (1 << bits) - 1 && bits < most_bits) ++bits;
      ++next;
    }
    previous = code;
    while (length > 0 && !pen.full()) pen.put(string[--length]);
  }
}

}  // namespace

bool is_gif(Bytes bytes) { return begins_with(bytes, "GIF87a") || begins_with(bytes, "GIF89a"); }

ImageHeader gif_header(const Encoded& file, const std::string& name) {
  return header_of_beginning(file, [&](Bytes head) {
    const Picture picture(head, name);
    picture.check(file.size(), name);
    return make_header(picture.width, picture.height, picture.channels(), file.size(), table_bytes, 1);
  });
}

Image decode_gif(Bytes bytes, const std::string& name) {
  const Picture picture(bytes, name);
  picture.check(bytes.size(), name);
  Image image{picture.width, picture.height, picture.channels(), {}};
  const size_t pixels = static_cast<size_t>(image.width) * static_cast<size_t>(image.height);
  const Colour colour = picture.colours[static_cast<size_t>(picture.background)];
  if (picture.grey) {
    image.pixels.assign(pixels, static_cast<uint8_t>(picture.background));
  } else {
    image.pixels.resize(3 * pixels);
    if (colour != Colour{})
      for (size_t i = 0; i < pixels; ++i) std::copy_n(colour.data(), 3, image.pixels.data() + 3 * i);
  }
  Pen pen(picture, image);
  unpack(Codes(Cursor{bytes, name, picture.data}), picture.code_bits, name, pen);
  return image;
}

}  // namespace shear
