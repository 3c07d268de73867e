// A folder for each class, in torchvision's order: classes by plain comparison of their names, a class's images by
// the folder they lie in, then by name.
#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "data/files.h"
#include "data/listed.h"
#include "data/sources.h"
#include "shear/error.h"

namespace shear {
namespace {

namespace fs = std::filesystem;

bool is_hidden(const fs::path& path) { return path.filename().native().starts_with('.'); }

// Folders that tools leave behind (.ipynb_checkpoints) and files such as ._cat.jpg are no data.
std::vector<std::string> folders_in(const fs::path& root) {
  std::vector<std::string> names;
  for (const auto& entry : list_folder(root))
    if (std::error_code error; entry.is_directory(error) && !is_hidden(entry)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

// Images of kinds that other programs read and this one does not: worth a word, where notes and lists are not.
struct PassedOver {
  int64_t count = 0;
  fs::path first;

  void see(const fs::path& path) {
    static constexpr std::string_view kinds[] = {".bmp",  ".gif", ".heic", ".heif", ".avif", ".jp2",
                                                 ".jfif", ".jxl", ".pgm",  ".ppm",  ".tif",  ".tiff"};
    std::string extension = path.extension().string();
    for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (std::find(std::begin(kinds), std::end(kinds), extension) == std::end(kinds)) return;
    ++count;
    if (first.empty() || path < first) first = path;
  }
  void tell(const fs::path& root, std::vector<std::string>& notes) const {
    if (count > 0)
      notes.push_back(text(root.string(), ": ", count, count == 1 ? " image is" : " images are",
                           " passed over, the first is ", first.string(), "; expected ", image_names));
  }
};

// Adds (folder relative to root, name) of every image below.  A link to a folder is followed only where it is itself a
// class: deeper, one could lead back up.
void add_images(const fs::path& root, const std::string& folder,
                std::vector<std::pair<std::string, std::string>>& found, PassedOver& passed) {
  for (const auto& entry : list_folder(root / folder)) {
    if (is_hidden(entry)) continue;
    const std::string name = entry.path().filename();
    std::error_code error;
    if (entry.is_directory(error)) {
      if (!entry.is_symlink(error)) add_images(root, folder + "/" + name, found, passed);
    } else if (is_image_name(entry)) {
      found.emplace_back(folder, name);
    } else {
      passed.see(entry);
    }
  }
}

struct ClassFolder {
  std::string name;
  std::vector<std::string> images;  // paths below the root
};

std::vector<ClassFolder> list_classes(const fs::path& root, std::vector<std::string>& notes) {
  const std::vector<std::string> names = folders_in(root);
  if (names.empty()) {
    const auto entries = list_folder(root);
    const bool images =
        std::any_of(entries.begin(), entries.end(), [](const auto& entry) { return is_image_name(entry); });
    fail(Fault::input, root.string(), images ? ": holds images but no folders" : ": holds no folders with images",
         ", expected a folder for each class");
  }
  std::vector<ClassFolder> classes;
  PassedOver passed;
  for (const std::string& name : names) {
    std::vector<std::pair<std::string, std::string>> found;
    add_images(root, name, found, passed);
    std::sort(found.begin(), found.end());
    ClassFolder& added = classes.emplace_back(ClassFolder{name, {}});
    for (const auto& [folder, file] : found) added.images.push_back(folder + "/" + file);
  }
  passed.tell(root, notes);
  return classes;
}

// Each of `folders` is one of `classes`.
std::unique_ptr<Dataset> listed(const fs::path& root, const std::vector<ClassFolder>& folders,
                                const std::vector<std::string>& classes) {
  std::vector<const ClassFolder*> in_order(classes.size());
  for (const ClassFolder& folder : folders)
    in_order[static_cast<size_t>(std::find(classes.begin(), classes.end(), folder.name) - classes.begin())] = &folder;
  std::vector<ListedImage> images;
  for (size_t label = 0; label < classes.size(); ++label)
    if (in_order[label])
      for (const std::string& image : in_order[label]->images) images.push_back({image, static_cast<int>(label)});
  return make_listed(root, std::move(images), classes);
}

std::unique_ptr<Dataset> open_train(const fs::path& root, const std::string& order, std::vector<std::string>& notes) {
  const std::vector<ClassFolder> folders = list_classes(root, notes);
  std::vector<std::string> names;
  for (const ClassFolder& folder : folders) {
    if (folder.images.empty())
      fail(Fault::input, (root / folder.name).string(), ": holds no images, expected ", image_names,
           " files of the class \"", folder.name, "\"");
    names.push_back(folder.name);
  }
  sort_names(names, order);
  return listed(root, folders, names);
}

// A class without images here is fine, one that training never saw is not.
std::unique_ptr<Dataset> open_other(const fs::path& root, const std::vector<std::string>& classes,
                                    std::vector<std::string>& notes) {
  std::vector<ClassFolder> folders = list_classes(root, notes);
  std::erase_if(folders, [](const ClassFolder& folder) { return folder.images.empty(); });
  if (folders.empty())
    fail(Fault::input, root.string(), ": holds no images, expected ", image_names, " files in class folders");
  for (const ClassFolder& folder : folders)
    if (std::find(classes.begin(), classes.end(), folder.name) == classes.end())
      fail(Fault::input, (root / folder.name).string(), ": the class \"", folder.name, "\" is not among the ",
           classes.size(), " classes of the training set");
  return listed(root, folders, classes);
}

// The first of these folders; empty if there is none.
fs::path find_folder(const fs::path& data, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (std::error_code error; fs::is_directory(data / name, error)) return data / name;
  return {};
}

fs::path find_val(const fs::path& data) { return find_folder(data, {"val", "valid", "validation"}); }
fs::path find_test(const fs::path& data) { return find_folder(data, {"test"}); }

// A flat data set may have a class named "train" or "test"; that one has images in it, not folders.
bool is_split(const fs::path& folder) { return !folder.empty() && !folders_in(folder).empty(); }

}  // namespace

DataSplits open_folders(const fs::path& data, const fs::path& val, const DataOptions& options) {
  const fs::path train = find_folder(data, {"train"}), own_val = find_val(data), own_test = find_test(data);
  const bool split = is_split(train);
  if (const fs::path& other = is_split(own_val) ? own_val : own_test; !split && is_split(other))
    fail(Fault::input, data.string(), ": holds ", other.filename().string(),
         " but no train with class folders, expected both");
  DataSplits splits{.kind = "class folders", .train = nullptr, .val = nullptr, .test = nullptr, .notes = {}};
  splits.train = open_train(split ? train : data, options.class_order, splits.notes);
  const auto open = [&](const fs::path& root) { return open_other(root, splits.train->classes(), splits.notes); };
  if (!val.empty())
    splits.val = open(is_split(find_val(val)) ? find_val(val) : is_split(find_test(val)) ? find_test(val) : val);
  else if (split && !own_val.empty())
    splits.val = open(own_val);
  if (!split || own_test.empty()) return splits;
  if (!splits.val && options.val_share == 0) {  // it will serve as val
    splits.test = open(own_test);
    return splits;
  }
  try {
    splits.test = open(own_test);
  } catch (const Error& error) {  // such as one without labels, which training has no need of
    splits.notes.push_back(text(error.what(), "; test is left out"));
  }
  return splits;
}

}  // namespace shear
