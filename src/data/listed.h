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

// Whether the name ends in what an image's does that decode_image reads; and what such names end in, for sentences.
bool is_image_name(const std::filesystem::path&);
inline constexpr const char* image_names = ".jpg, .jpeg, .png or .webp";

// Sorts by plain comparison of bytes, or as timm does: whatever the case, digits by the number that they make.
void sort_names(std::vector<std::string>&, const std::string& order);

// Counts the images that a list names and that are not there.
class AbsentImages {
 public:
  void look_for(const std::filesystem::path& image, int64_t line);  // 0: not from a line
  // Throws Fault::input where there were any: "LIST: 3 of its 120 images are not there, the first is ...".
  void refuse(const std::filesystem::path& list) const;

 private:
  int64_t images_ = 0, absent_ = 0, line_ = 0;
  std::filesystem::path first_;
};

}  // namespace shear
