// A folder for each class, in torchvision's order: classes by plain comparison of their names, a class's images by
// the folder they lie in, then by name.
#include <algorithm>
#include <utility>

#include "data/class_folders.h"
#include "data/classes.h"
#include "data/files.h"
#include "data/listed.h"
#include "data/part_names.h"
#include "data/sources.h"
#include "shear/error.h"
#include "shear/utf8.h"

namespace shear {
namespace {

namespace fs = std::filesystem;

// The folders of a data set's parts, by their names.  A flat set may have a class named "train" or "test": that one has
// images in it, not folders.
struct FolderLayout {
  struct Part {
    fs::path folder;                // with class folders; empty: there is none
    std::vector<std::string> flat;  // named so, without class folders
  };
  fs::path root;
  Part train, val, test;
  std::vector<std::string> others;  // folders that are named as no part
  int64_t images = 0;               // that lie beside the folders

  explicit FolderLayout(const fs::path& data);
};

FolderLayout::FolderLayout(const fs::path& data) : root(data) {
  for (const auto& entry : list_folder(data))
    if (std::error_code error; kind_of_name(entry.path()) == NameKind::image && !entry.is_directory(error)) ++images;
  std::vector<std::string> evaluations;
  for (const std::string& name : folders_in(data)) {
    const PartName named = part_named(name);
    Part* part = named == PartName::train  ? &train
                 : named == PartName::val  ? &val
                 : named == PartName::test ? &test
                                           : nullptr;
    if (named == PartName::none) {
      others.push_back(name);
    } else if (folders_in(data / name).empty()) {
      (part ? *part : test).flat.push_back(name);
    } else if (!part) {
      evaluations.push_back(name);
    } else if (part->folder.empty()) {
      part->folder = data / name;
    } else {
      fail(Fault::input, data.string(), ": holds ", part->folder.filename().string(), " and ", printable(name),
           ", which both name the ",
           named == PartName::train ? "training"
           : named == PartName::val ? "validation"
                                    : "test",
           " part, expected one of them");
    }
  }
  for (const std::string& name : evaluations) {
    const PartName meaning = meaning_of_eval(!val.folder.empty(), !test.folder.empty());
    if (meaning == PartName::none)
      fail(Fault::input, data.string(), ": holds ", val.folder.filename().string(), ", ",
           test.folder.filename().string(), " and ", name, ", expected one folder for validation and one for tests");
    (meaning == PartName::val ? val : test).folder = data / name;
  }
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

std::unique_ptr<Dataset> open_train(const fs::path& root, const DataOptions& options, std::vector<std::string>& notes) {
  const std::vector<ClassFolder> folders = list_classes(root, options.own, notes);
  std::vector<std::string> names;
  for (const ClassFolder& folder : folders) {
    if (folder.images.empty())
      fail(Fault::input, (root / folder.name).string(), ": holds no images",
           folder.passed_over.empty() ? "" : ", only " + folder.passed_over, ", expected ", image_names,
           " files of the class \"", excerpt(folder.name), "\"");
    names.push_back(folder.name);
  }
  check_nesting(root, folders, options, notes);
  sort_names(names, options.class_order);
  return listed(root, folders, names);
}

// A class without images here is fine, one that training never saw is not.  Null: there is no image.
std::unique_ptr<Dataset> open_other(const fs::path& root, const DataOptions& options,
                                    const std::vector<std::string>& classes, std::vector<std::string>& notes) {
  std::vector<ClassFolder> folders = list_classes(root, options.own, notes);
  std::erase_if(folders, [](const ClassFolder& folder) { return folder.images.empty(); });
  if (folders.empty()) return nullptr;
  for (const ClassFolder& folder : folders)
    if (std::find(classes.begin(), classes.end(), folder.name) == classes.end())
      fail(Fault::input, (root / folder.name).string(), ": ", unknown_class(folder.name, classes));
  return listed(root, folders, classes);
}

std::unique_ptr<Dataset> open_val(const fs::path& root, const DataOptions& options,
                                  const std::vector<std::string>& classes, std::vector<std::string>& notes) {
  std::unique_ptr<Dataset> val = open_other(root, options, classes, notes);
  if (!val) fail(Fault::input, root.string(), ": holds no images, expected ", image_names, " files in class folders");
  return val;
}

// All folders are classes here, those too that are named as parts.
void check_flat(const FolderLayout& layout, std::vector<std::string>& notes) {
  if (const fs::path& part = layout.val.folder.empty() ? layout.test.folder : layout.val.folder; !part.empty())
    fail(Fault::input, layout.root.string(), ": holds ", part.filename().string(),
         " but no train with class folders, expected both");
  std::vector<std::string> named;
  for (const FolderLayout::Part* part : {&layout.train, &layout.val, &layout.test})
    named.insert(named.end(), part->flat.begin(), part->flat.end());
  if (named.empty()) return;
  const char* found = named.size() == 1 ? " is named as a part of a data set, but holds"
                                        : " are named as parts of a data set, but hold";
  if (layout.others.empty())
    fail(Fault::input, layout.root.string(), ": ", listing(named), found,
         " no folders, expected a folder for each class in ", named.size() == 1 ? "it" : "each");
  notes.push_back(text(layout.root.string(), ": ", listing(named), found, " no folders: taken for ",
                       named.size() == 1 ? "a class" : "classes"));
}

void note_passed_over(const FolderLayout& layout, std::vector<std::string>& notes) {
  std::vector<std::string> names = layout.others;
  const auto add = [&](const FolderLayout::Part& part) {
    names.insert(names.end(), part.flat.begin(), part.flat.end());
  };
  add(layout.train);
  if (!layout.val.folder.empty()) add(layout.val);
  if (layout.images > 0) names.push_back(text(layout.images, layout.images == 1 ? " image" : " images"));
  if (!names.empty())
    notes.push_back(text(layout.root.string(), ": beside ", layout.train.folder.filename().string(), ", ",
                         listing(names), names.size() == 1 && layout.images < 2 ? " is" : " are", " passed over"));
}

// A test part that validation has no need of, or that has no labels, stops nothing.
void open_test(const FolderLayout& layout, const DataOptions& options, DataSplits& splits) {
  const auto leave_out = [&](const fs::path& folder, const std::string& why) {
    splits.notes.push_back(text(why, "; ", printable(folder.filename().string()), " is left out"));
  };
  const auto open = [&](const fs::path& folder, bool needed) {
    try {
      splits.test = open_other(folder, options, splits.train->classes(), splits.notes);
      if (!splits.test) leave_out(folder, text(folder.string(), ": holds no images"));
    } catch (const Error& error) {
      if (needed)
        fail(Fault::input, error.what(), "; ", setting("val-share"), " 0.1 would validate on training images instead");
      leave_out(folder, error.what());
    }
  };
  for (const std::string& name : layout.test.flat) open(layout.root / name, false);
  const bool serves_as_val = !splits.val && options.val_share == 0;
  if (!layout.test.folder.empty()) open(layout.test.folder, serves_as_val);
}

}  // namespace

DataSplits open_folders(const fs::path& data, const fs::path& val, const DataOptions& options) {
  const FolderLayout layout(data);
  DataSplits splits{.kind = "class folders", .train = nullptr, .val = nullptr, .test = nullptr, .notes = {}};
  const bool flat = layout.train.folder.empty();
  if (flat)
    check_flat(layout, splits.notes);
  else
    note_passed_over(layout, splits.notes);
  splits.train = open_train(flat ? data : layout.train.folder, options, splits.notes);
  const auto open = [&](const fs::path& root) {
    return open_val(root, options, splits.train->classes(), splits.notes);
  };
  const std::string own = flat                         ? ""
                          : !layout.val.folder.empty() ? layout.val.folder.filename().string()
                          : !layout.val.flat.empty()   ? layout.val.flat.front()
                                                       : "";
  if (!val.empty()) {
    const FolderLayout other(val);
    const auto folders = {other.val.folder, other.test.folder, other.train.folder, val};
    splits.val =
        open(*std::find_if(folders.begin(), folders.end(), [](const fs::path& path) { return !path.empty(); }));
    if (!own.empty())
      splits.notes.push_back(text((data / own).string(), ": is passed over, as ", val.string(), " is validated on"));
  } else if (!own.empty()) {
    splits.val = open(data / own);
  }
  if (!flat) open_test(layout, options, splits);
  return splits;
}

}  // namespace shear
