// Images that lie in files of their own, each with a label.
#include "data/listed.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "data/files.h"
#include "shear/error.h"

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
    const fs::path below = listed.lexically_relative(fs::absolute(root_).lexically_normal());
    return below.empty() || *below.begin() == ".." ? listed.string() : below.string();
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

bool is_image_name(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(), lower);
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png" || extension == ".webp";
}

void sort_names(std::vector<std::string>& names, const std::string& order) {
  if (order == "natural")
    std::sort(names.begin(), names.end(), naturally_less);
  else
    std::sort(names.begin(), names.end());
}

void AbsentImages::look_for(const fs::path& image, int64_t line) {
  ++images_;
  if (is_file(image)) return;
  if (absent_++ > 0) return;
  first_ = image;
  line_ = line;
}

void AbsentImages::refuse(const fs::path& list) const {
  if (absent_ == 0) return;
  fail(Fault::input, list.string(), ": ", absent_, " of its ", images_, " images are not there, the first is ",
       first_.string(), line_ > 0 ? text(" (line ", line_, ")") : "", ", expected a file for each");
}

}  // namespace shear
