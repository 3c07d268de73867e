// The images of a folder that is no data set.
#include <algorithm>

#include "data/class_folders.h"
#include "data/files.h"
#include "data/listed.h"
#include "shear/error.h"

namespace shear {

namespace fs = std::filesystem;

static void add_below(const fs::path& folder, std::vector<fs::path>& images) {
  for (const fs::directory_entry& entry : list_folder(folder)) {
    if (is_left_behind(entry)) continue;
    std::error_code error;
    if (entry.is_directory(error)) {
      if (!entry.is_symlink(error)) add_below(entry, images);  // a link could lead back up
    } else if (const NameKind kind = kind_of_name(entry.path().filename());
               kind == NameKind::image || (kind == NameKind::unclear && begins_as_image(entry))) {
      images.push_back(entry.path());
    }
  }
}

std::vector<fs::path> images_below(const fs::path& folder) {
  std::vector<fs::path> images;
  add_below(folder, images);
  if (images.empty()) fail(Fault::input, folder.string(), ": holds no images, expected ", image_names, " files");
  std::sort(images.begin(), images.end());
  return images;
}

}  // namespace shear
