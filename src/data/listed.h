// Images that lie in files of their own, each with a label.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "shear/data.h"

namespace shear {

struct ListedImage {
  std::string path;  // below the root, or absolute
  int label;
};

// Images read as three channels.
std::unique_ptr<Dataset> make_listed(std::filesystem::path root, std::vector<ListedImage>,
                                     std::vector<std::string> classes);

// What a name says of its file: an image that decode_image reads; one that other programs read; another thing, such as
// a list; or nothing, as where there is no extension.
enum class NameKind : uint8_t { image, unread_image, other, unclear };
NameKind kind_of_name(const std::filesystem::path&);
inline constexpr const char* image_names = ".jpg, .jpeg, .jfif, .png, .webp, .bmp, .gif or .tif";  // for sentences

// Whether it begins with the bytes of an image that decode_image reads; false for what cannot be read.
bool begins_as_image(const std::filesystem::path&);

// Sorts by plain comparison of bytes, or as timm does: whatever the case, digits by the number that they make.
void sort_names(std::vector<std::string>&, const std::string& order);

// Counts the images that a list names and that are not there.
class AbsentImages {
 public:
  void look_for(const std::filesystem::path& image, int64_t line);  // 0: not from a line
  // Throws Fault::input where there were any: "LIST: 3 of its 120 images are not there, the first is ..."
  void refuse(const std::filesystem::path& list) const;

 private:
  int64_t images_ = 0, absent_ = 0, line_ = 0;
  std::filesystem::path first_;
  std::string why_;  // of the first: what it is, or what the system says; empty: there is nothing
};

}  // namespace shear
