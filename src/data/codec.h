// Decoding an encoded image, and what its header says.
#pragma once
#include <algorithm>
#include <optional>
#include <string>

#include "data/files.h"
#include "shear/data.h"
#include "shear/error.h"

namespace shear {

// An encoded image: all of it in memory, or in a file of which only that is read which is asked for.
class Encoded {
 public:
  explicit Encoded(Bytes all) : all_(all), size_(all.size()) {}
  explicit Encoded(const std::filesystem::path&);  // throws Fault::input

  uint64_t size() const { return size_; }
  // `count` bytes from `at` on, fewer where it ends; they are there until the next call.
  Bytes read(uint64_t at, size_t count) const;
  Bytes in_memory() const { return all_; }  // empty where it is in a file

 private:
  Bytes all_;
  std::optional<InputFile> file_;
  uint64_t size_;
  mutable std::vector<uint8_t> room_;
};

// What `parse` makes of a file's beginning: where it throws, of a longer one, up to all of it.
template <class Parse>
ImageHeader header_of_beginning(const Encoded& file, const Parse& parse) {
  for (size_t count = 64 * 1024;; count *= 8) {
    const Bytes head = file.read(0, count);
    try {
      return parse(head);
    } catch (const Error&) {
      if (head.size() == file.size()) throw;
    }
  }
}

// Whether a file that begins so, with 32 bytes or more where it has them, is an image of one of the kinds below.
bool is_image(Bytes head);

bool is_jpeg(Bytes);
bool is_png(Bytes);
bool is_webp(Bytes);
bool is_gif(Bytes);
bool is_bmp(Bytes);
bool is_tiff(Bytes);

// `name` stands in front of every sentence that these throw (Fault::input).
ImageHeader jpeg_header(const Encoded&, const std::string& name);
ImageHeader png_header(const Encoded&, const std::string& name);
ImageHeader webp_header(const Encoded&, const std::string& name);
ImageHeader gif_header(const Encoded&, const std::string& name);
ImageHeader bmp_header(const Encoded&, const std::string& name);
ImageHeader tiff_header(const Encoded&, const std::string& name);

// Upright.
Image decode_jpeg(Bytes, const std::string& name);
Image decode_png(Bytes, const std::string& name);
Image decode_webp(Bytes, const std::string& name);
Image decode_gif(Bytes, const std::string& name);
Image decode_bmp(Bytes, const std::string& name);
Image decode_tiff(Bytes, const std::string& name);

// Throws before anything is allocated for an image that nobody means to train on, but a hostile header may claim.
void check_dimensions(uint64_t width, uint64_t height, const std::string& name);

// The header of an image in a file of `file` bytes, decoded with `beside` bytes of the codec's own beside the pixels,
// and then turned.
inline ImageHeader make_header(int width, int height, int channels, uint64_t file, size_t beside, int orientation) {
  const size_t pixels = static_cast<size_t>(width) * static_cast<size_t>(height) * static_cast<size_t>(channels);
  const size_t turning = orientation >= 5 ? pixels : 0;
  return {width, height, channels, static_cast<size_t>(file) + pixels + std::max(beside, turning)};
}

}  // namespace shear
