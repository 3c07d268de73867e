// Images that lie in files of their own, each with a label.
#include "data/listed.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "data/codec.h"
#include "data/files.h"
#include "shear/error.h"
#include "shear/utf8.h"

namespace shear {
namespace {

namespace fs = std::filesystem;

class Listed final : public Dataset {
 public:
  Listed(fs::path root, std::vector<ListedImage> images, std::vector<std::string> classes)
      : root_(std::move(root)), images_(std::move(images)), classes_(std::move(classes)) {}

  int64_t size() const override { return static_cast<int64_t>(images_.size()); }
  int channels() const override { return 3; }
  const std::vector<std::string>& classes() const override { return classes_; }
  int label(int64_t index) const override { return images_[static_cast<size_t>(index)].label; }
  Image read(int64_t index) const override { return to_channels(decode_image(path(index)), 3); }
  std::string describe(int64_t index) const override { return path(index).string(); }
  std::string key(int64_t index) const override {
    const fs::path listed = images_[static_cast<size_t>(index)].path;
    if (listed.is_relative()) return listed.string();
    std::error_code error;  // where the working directory is gone
    const fs::path below = listed.lexically_relative(fs::absolute(root_, error).lexically_normal());
    return error || below.empty() || *below.begin() == ".." ? listed.string() : below.string();
  }
  size_t reading_bytes(int64_t index) const override {
    constexpr uint64_t small = 4096;  // no codec makes much of so few bytes: not worth a second look at the file
    return sign(index) <= small ? 0 : probe_image(path(index)).decode_bytes;
  }
  uint64_t sign(int64_t index) const override {
    std::error_code error;
    const uintmax_t bytes = fs::file_size(path(index), error);
    return error ? 0 : bytes;
  }

 private:
  fs::path path(int64_t index) const { return root_ / images_[static_cast<size_t>(index)].path; }

  fs::path root_;
  std::vector<ListedImage> images_;
  std::vector<std::string> classes_;
};

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The digits at the start of `rest`, taken off it, without leading zeros.
std::string_view take_number(std::string_view& rest) {
  const size_t end = static_cast<size_t>(std::find_if_not(rest.begin(), rest.end(), is_digit) - rest.begin());
  std::string_view digits = rest.substr(0, end);
  rest.remove_prefix(end);
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
  return digits;
}

// timm's natural_key: runs of text in lower case and runs of digits as numbers, in turn, beginning with text.
bool naturally_less(std::string_view a, std::string_view b) {
  const std::string_view all_a = a, all_b = b;
  while (!a.empty() && !b.empty()) {
    if (is_digit(a[0]) && is_digit(b[0])) {
      const std::string_view m = take_number(a), n = take_number(b);
      if (m.size() != n.size()) return m.size() < n.size();
      if (m != n) return m < n;
    } else if (is_digit(a[0]) || is_digit(b[0])) {
      return is_digit(a[0]);  // there the text of one has ended, and the shorter comes first
    } else {
      const auto m = static_cast<unsigned char>(lower(a[0])), n = static_cast<unsigned char>(lower(b[0]));
      if (m != n) return m < n;
      a.remove_prefix(1);
      b.remove_prefix(1);
    }
  }
  if (a.empty() != b.empty()) return a.empty();
  return all_a < all_b;  // the same to timm, whose order is then by chance
}

}  // namespace

std::unique_ptr<Dataset> make_listed(fs::path root, std::vector<ListedImage> images, std::vector<std::string> classes) {
  return std::make_unique<Listed>(std::move(root), std::move(images), std::move(classes));
}

NameKind kind_of_name(const fs::path& path) {
  static constexpr std::string_view read[] = {".jpg",  ".jpeg", ".jpe", ".jfif", ".png",
                                              ".webp", ".bmp",  ".gif", ".tif",  ".tiff"};
  static constexpr std::string_view unread[] = {".heic", ".heif", ".avif", ".jp2", ".jxl", ".pbm",
                                                ".pgm",  ".pnm",  ".ppm",  ".tga", ".ico", ".svg"};
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(), lower);
  const auto is_in = [&](const auto& table) {
    return std::find(std::begin(table), std::end(table), extension) != std::end(table);
  };
  if (is_in(read)) return NameKind::image;
  if (is_in(unread)) return NameKind::unread_image;
  // "photo.jpg_large" and "frame.0001" are no extensions that say what a file is.
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  return extension.size() > 1 && std::all_of(extension.begin() + 1, extension.end(), is_letter) ? NameKind::other
                                                                                                : NameKind::unclear;
}

bool begins_as_image(const fs::path& path) {
  constexpr uint64_t enough = 32;
  try {
    return is_image(InputFile(path, "an image").read(enough));
  } catch (const Error&) {
    return false;
  }
}

void sort_names(std::vector<std::string>& names, const std::string& order) {
  if (order == "natural")
    std::sort(names.begin(), names.end(), naturally_less);
  else
    std::sort(names.begin(), names.end());
}

void AbsentImages::look_for(const fs::path& image, int64_t line) {
  ++images_;
  std::error_code error;
  const fs::file_status status = fs::status(image, error);
  if (fs::is_regular_file(status) || absent_++ > 0) return;
  first_ = image;
  line_ = line;
  if (fs::exists(status))
    why_ = name_of(status.type());
  else if (status.type() != fs::file_type::not_found)
    why_ = error.message();
}

void AbsentImages::refuse(const fs::path& list) const {
  if (absent_ == 0) return;
  std::string place = line_ > 0 ? text("line ", line_) : "";
  if (!why_.empty()) place += place.empty() ? why_ : ": " + why_;
  if (!place.empty()) place = " (" + place + ")";
  fail(Fault::input, list.string(), ": ", absent_, " of its ", images_, " images are not there, the first is ",
       printable(first_.string()), place, ", expected a file for each");
}

}  // namespace shear
