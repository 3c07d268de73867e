// GIF through giflib: its first picture.  (CompuServe, "Graphics Interchange Format, Version 89a".)
//
// Read record by record, not by DGifSlurp, which keeps all pictures of an animation.
#include <gif_lib.h>

#include <array>
#include <cstring>
#include <memory>
#include <new>

#include "data/codec.h"
#include "data/exif.h"

namespace shear {
namespace {

constexpr uint64_t max_pixels_per_byte = 4096 * 8 / 12;  // a code of 12 bits stands for at most as many as there are
constexpr size_t giflib_bytes = 128 * 1024;              // of its tables and colour maps, beside the pixels

using Colour = std::array<uint8_t, 3>;

// The first picture as giflib reads it, up to its data.
class Picture {
 public:
  Picture(Bytes bytes, const std::string& name) : bytes_(bytes), name_(name) {
    int error = 0;
    gif_.reset(DGifOpen(this, read, &error));
    if (!gif_) broken(error);
    int background = 0;
    while (!begins_picture()) {
      int label = 0;
      GifByteType* block = nullptr;
      check(DGifGetExtension(gif_.get(), &label, &block));
      GraphicsControlBlock control;
      if (block && label == GRAPHICS_EXT_FUNC_CODE && DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK &&
          control.TransparentColor != NO_TRANSPARENT_COLOR)
        background = control.TransparentColor;
      while (block) check(DGifGetExtensionNext(gif_.get(), &block));
    }
    check(DGifGetImageDesc(gif_.get()));
    background_ = background;
    if (part().Width == 0 || part().Height == 0) broken("its picture is empty");
    width = std::max(gif_->SWidth, part().Left + part().Width);
    height = std::max(gif_->SHeight, part().Top + part().Height);
    take_colours(part().ColorMap ? part().ColorMap : gif_->SColorMap);
  }

  void check_claims(uint64_t file) const {
    check_dimensions(static_cast<uint64_t>(width), static_cast<uint64_t>(height), name_);
    if (static_cast<uint64_t>(part().Width) * static_cast<uint64_t>(part().Height) > max_pixels_per_byte * file)
      fail(Fault::input, name_, ": claims ", part().Width, " x ", part().Height, " pixels, more than its ", file,
           " bytes can hold");
  }

  const GifImageDesc& part() const { return gif_->Image; }  // what of the whole it covers
  const Colour& colour(size_t index) const { return colours_[index]; }
  size_t background() const { return static_cast<size_t>(background_); }  // the index where it does not cover
  int channels() const { return grey_ ? 1 : 3; }

  void read_row(std::vector<uint8_t>& indices, bool last) {
    in_last_row_ = last;
    check(DGifGetLine(gif_.get(), indices.data(), static_cast<int>(indices.size())));
  }

  int width, height;  // of all

 private:
  struct Close {
    void operator()(GifFileType* gif) const { DGifCloseFile(gif, nullptr); }
  };

  static int read(GifFileType* gif, GifByteType* to, int count) {
    auto& self = *static_cast<Picture*>(gif->UserData);
    if (self.bytes_.empty() && self.in_last_row_ && count == 1) {  // the length of a block of which no pixel is needed
      *to = 0;
      return 1;
    }
    const size_t taken = std::min(static_cast<size_t>(count), self.bytes_.size());
    std::memcpy(to, self.bytes_.data(), taken);
    self.bytes_ = self.bytes_.subspan(taken);
    return static_cast<int>(taken);
  }

  // Whether a picture comes next, rather than an extension; passes over stray bytes, as Pillow does.
  bool begins_picture() {
    for (;;) {
      GifRecordType type = UNDEFINED_RECORD_TYPE;
      if (DGifGetRecordType(gif_.get(), &type) == GIF_ERROR) {
        if (gif_->Error != D_GIF_ERR_WRONG_RECORD) broken(gif_->Error);
      } else if (type == TERMINATE_RECORD_TYPE) {
        broken("it holds no picture");
      } else {
        return type == IMAGE_DESC_RECORD_TYPE;
      }
    }
  }

  // Beyond its table, or without one, an index stands for black or for its own grey.
  void take_colours(const ColorMapObject* map) {
    if (!map) return;
    colours_ = {};
    for (size_t i = 0; i < static_cast<size_t>(map->ColorCount); ++i) {
      const GifColorType& c = map->Colors[i];
      const auto own = static_cast<uint8_t>(i);
      colours_[i] = {c.Red, c.Green, c.Blue};
      grey_ = grey_ && colours_[i] == Colour{own, own, own};
    }
  }

  void check(int status) const {
    if (status == GIF_ERROR) broken(gif_->Error);
  }
  [[noreturn]] void broken(int error) const {
    if (error == D_GIF_ERR_NOT_ENOUGH_MEM) throw std::bad_alloc();
    const bool early = error == D_GIF_ERR_READ_FAILED || error == D_GIF_ERR_EOF_TOO_SOON;
    const char* said = GifErrorString(error);
    broken(early ? "it ends early" : said ? said : "giflib does not say why");
  }
  [[noreturn]] void broken(const char* how) const {
    fail(Fault::input, name_, ": is a broken GIF (", how, "), expected a whole one");
  }

  Bytes bytes_;  // that are still to be read
  const std::string& name_;
  std::unique_ptr<GifFileType, Close> gif_;
  std::array<Colour, 256> colours_{};
  bool grey_ = true;  // no table, or one in which each entry is its own number
  int background_ = 0;
  bool in_last_row_ = false;
};

// The rows of a picture in the order of their data.
std::vector<int> row_order(int rows, bool interlaced) {
  struct Pass {
    int first, step;
  };
  std::vector<int> order;
  order.reserve(static_cast<size_t>(rows));
  for (const Pass pass : interlaced ? std::vector<Pass>{{0, 8}, {4, 8}, {2, 4}, {1, 2}} : std::vector<Pass>{{0, 1}})
    for (int row = pass.first; row < rows; row += pass.step) order.push_back(row);
  return order;
}

}  // namespace

bool is_gif(Bytes bytes) { return begins_with(bytes, "GIF87a") || begins_with(bytes, "GIF89a"); }

ImageHeader gif_header(const Encoded& file, const std::string& name) {
  return header_of_beginning(file, [&](Bytes head) {
    const Picture picture(head, name);
    picture.check_claims(file.size());
    return make_header(picture.width, picture.height, picture.channels(), file.size(), giflib_bytes, 1);
  });
}

Image decode_gif(Bytes bytes, const std::string& name) {
  Picture picture(bytes, name);
  picture.check_claims(bytes.size());
  Image image{picture.width, picture.height, picture.channels(), {}};
  const auto channels = static_cast<size_t>(image.channels), width = static_cast<size_t>(image.width);
  image.pixels.resize(width * static_cast<size_t>(image.height) * channels);
  const auto paint = [&](size_t index, uint8_t* to) {
    if (channels == 1)
      *to = static_cast<uint8_t>(index);
    else
      std::copy_n(picture.colour(index).data(), 3, to);
  };
  for (size_t i = 0; i < image.pixels.size(); i += channels) paint(picture.background(), image.pixels.data() + i);
  const GifImageDesc& part = picture.part();
  std::vector<uint8_t> indices(static_cast<size_t>(part.Width));
  const std::vector<int> rows = row_order(part.Height, part.Interlace);
  for (const int& row : rows) {
    picture.read_row(indices, &row == &rows.back());
    uint8_t* to =
        image.pixels.data() + (static_cast<size_t>(part.Top + row) * width + static_cast<size_t>(part.Left)) * channels;
    for (const uint8_t index : indices) {
      paint(index, to);
      to += channels;
    }
  }
  return image;
}

}  // namespace shear
