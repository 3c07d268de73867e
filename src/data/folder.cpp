// A folder for each class, in torchvision's order: classes by plain comparison of their names, a class's images by
// the folder they lie in, then by name.
#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <utility>

#include "data/sources.h"
#include "shear/error.h"

namespace shear {
namespace {

namespace fs = std::filesystem;

bool is_hidden(const fs::path& path) { return path.filename().native().starts_with('.'); }

bool is_image(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

// Folders that tools leave behind (.ipynb_checkpoints) and files such as ._cat.jpg are no data.
std::vector<std::string> folders_in(const fs::path& root) {
  std::vector<std::string> names;
  for (const auto& entry : list_folder(root))
    if (std::error_code error; entry.is_directory(error) && !is_hidden(entry)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

// Adds (folder relative to root, name) of every image below.  A link to a folder is followed only where it is itself a
// class: deeper, one could lead back up.
void add_images(const fs::path& root, const std::string& folder,
                std::vector<std::pair<std::string, std::string>>& found) {
  for (const auto& entry : list_folder(root / folder)) {
    if (is_hidden(entry)) continue;
    const std::string name = entry.path().filename();
    std::error_code error;
    if (entry.is_directory(error)) {
      if (!entry.is_symlink(error)) add_images(root, folder + "/" + name, found);
    } else if (is_image(entry)) {
      found.emplace_back(folder, name);
    }
  }
}

struct ClassFolder {
  std::string name;
  std::vector<std::string> images;  // paths below the root
};

std::vector<ClassFolder> list_classes(const fs::path& root) {
  const std::vector<std::string> names = folders_in(root);
  if (names.empty()) {
    const auto entries = list_folder(root);
    const bool images = std::any_of(entries.begin(), entries.end(), [](const auto& entry) { return is_image(entry); });
    fail(Fault::input, root.string(), images ? ": holds images but no folders" : ": holds no folders with images",
         ", expected a folder for each class");
  }
  std::vector<ClassFolder> classes;
  for (const std::string& name : names) {
    std::vector<std::pair<std::string, std::string>> found;
    add_images(root, name, found);
    std::sort(found.begin(), found.end());
    ClassFolder& added = classes.emplace_back(ClassFolder{name, {}});
    for (const auto& [folder, file] : found) added.images.push_back(folder + "/" + file);
  }
  return classes;
}

class FolderDataset final : public Dataset {
 public:
  // Each of `folders` is one of `classes`.
  FolderDataset(fs::path root, const std::vector<ClassFolder>& folders, std::vector<std::string> classes)
      : root_(std::move(root)), classes_(std::move(classes)) {
    for (const ClassFolder& folder : folders) {
      const auto at = std::find(classes_.begin(), classes_.end(), folder.name) - classes_.begin();
      for (const std::string& image : folder.images) samples_.push_back({image, static_cast<int>(at)});
    }
  }

  int64_t size() const override { return static_cast<int64_t>(samples_.size()); }
  int channels() const override { return 3; }
  const std::vector<std::string>& classes() const override { return classes_; }
  int label(int64_t index) const override { return samples_[static_cast<size_t>(index)].label; }
  Image read(int64_t index) const override { return to_channels(decode_image(path(index)), 3); }
  std::string describe(int64_t index) const override { return path(index).string(); }

 private:
  struct Sample {
    std::string path;  // below the root
    int label;
  };
  fs::path path(int64_t index) const { return root_ / samples_[static_cast<size_t>(index)].path; }

  fs::path root_;
  std::vector<std::string> classes_;
  std::vector<Sample> samples_;
};

std::unique_ptr<Dataset> open_train(const fs::path& root) {
  const std::vector<ClassFolder> folders = list_classes(root);
  std::vector<std::string> names;
  for (const ClassFolder& folder : folders) {
    if (folder.images.empty())
      fail(Fault::input, (root / folder.name).string(),
           ": holds no images, expected .jpg, .jpeg or .png files of the class \"", folder.name, "\"");
    names.push_back(folder.name);
  }
  return std::make_unique<FolderDataset>(root, folders, std::move(names));
}

// A class without images here is fine, one that training never saw is not.
std::unique_ptr<Dataset> open_val(const fs::path& root, const std::vector<std::string>& classes) {
  std::vector<ClassFolder> folders = list_classes(root);
  std::erase_if(folders, [](const ClassFolder& folder) { return folder.images.empty(); });
  if (folders.empty())
    fail(Fault::input, root.string(), ": holds no images, expected .jpg, .jpeg or .png files in class folders");
  for (const ClassFolder& folder : folders)
    if (std::find(classes.begin(), classes.end(), folder.name) == classes.end())
      fail(Fault::input, (root / folder.name).string(), ": the class \"", folder.name, "\" is not among the ",
           classes.size(), " classes of the training set");
  return std::make_unique<FolderDataset>(root, folders, classes);
}

// The first of these folders; empty if there is none.
fs::path find_folder(const fs::path& data, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (std::error_code error; fs::is_directory(data / name, error)) return data / name;
  return {};
}

fs::path find_val(const fs::path& data) { return find_folder(data, {"val", "valid", "validation", "test"}); }

// A flat data set may have a class named "train" or "test"; that one has images in it, not folders.
bool is_split(const fs::path& folder) { return !folder.empty() && !folders_in(folder).empty(); }

}  // namespace

DataSplits open_folders(const fs::path& data, const fs::path& val) {
  const fs::path train = find_folder(data, {"train"});
  const bool split = is_split(train);
  if (!split && is_split(find_val(data)))
    fail(Fault::input, data.string(), ": holds ", find_val(data).filename().string(),
         " but no train with class folders, expected both");
  DataSplits splits{"class folders", open_train(split ? train : data), nullptr};
  fs::path val_root;
  if (!val.empty())
    val_root = is_split(find_val(val)) ? find_val(val) : val;
  else if (split)
    val_root = find_val(data);
  if (!val_root.empty()) splits.val = open_val(val_root, splits.train->classes());
  return splits;
}

}  // namespace shear
