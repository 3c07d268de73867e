// A folder for each class: what lies in it.
#include "data/class_folders.h"

#include <algorithm>
#include <utility>

#include "data/classes.h"
#include "data/files.h"
#include "data/listed.h"
#include "data/part_names.h"
#include "shear/error.h"
#include "shear/utf8.h"

namespace shear {
namespace {

namespace fs = std::filesystem;

std::string shown(const fs::path& path) { return printable(path.string()); }

// A kind of thing that is worth a word: how many, and the first by name.
struct Tally {
  int64_t count = 0;
  fs::path first;

  void add(const fs::path& path) {
    ++count;
    if (first.empty() || path < first) first = path;
  }
  void add(const Tally& other) {
    if (other.count == 0) return;
    add(other.first);
    count += other.count - 1;
  }
  void tell(const fs::path& root, const char* one, const char* many, std::vector<std::string>& notes,
            const std::string& rest = {}) const {
    if (count > 0)
      notes.push_back(
          text(shown(root), ": ", count, " ", count == 1 ? one : many, ", the first is ", shown(first), rest));
  }
};

// What lies below one class.
struct Found {
  std::vector<std::pair<std::string, std::string>> images;  // (folder below the root, name)
  Tally unread;                                             // images of kinds that other programs read
  Tally by_content;                                         // images whose names do not say so
  Tally links;                                              // to folders
  bool holds_run = false;                                   // files that a training leaves
};

bool is_of_run(const std::string& name) { return name == "last.safetensors" || name == "metrics.jsonl"; }

// A link to a folder is followed only where it is itself a class: deeper, one could lead back up.
void look_below(const fs::path& root, const std::string& folder, Found& found) {
  for (const auto& entry : list_folder(root / folder)) {
    if (is_left_behind(entry)) continue;
    const std::string name = entry.path().filename();
    std::error_code error;
    if (entry.is_directory(error)) {
      if (entry.is_symlink(error))
        found.links.add(entry.path());
      else
        look_below(root, folder + "/" + name, found);
      continue;
    }
    switch (kind_of_name(name)) {
      case NameKind::image:
        found.images.emplace_back(folder, name);
        break;
      case NameKind::unread_image:
        found.unread.add(entry.path());
        break;
      case NameKind::unclear:
        if (!entry.is_regular_file(error) || !begins_as_image(entry.path())) break;
        found.images.emplace_back(folder, name);
        found.by_content.add(entry.path());
        break;
      case NameKind::other:
        if (is_of_run(name)) found.holds_run = true;
    }
  }
}

ClassFolder to_class(const std::string& name, Found& found) {
  std::sort(found.images.begin(), found.images.end());
  ClassFolder folder{name, {}, {}, {}};
  const std::string* last = nullptr;
  for (const auto& [parent, file] : found.images) {
    folder.images.push_back(parent + "/" + file);
    if (!last || *last != parent)
      folder.folders.push_back(parent.size() == name.size() ? "" : parent.substr(name.size() + 1));
    last = &parent;
  }
  if (found.unread.count > 0)
    folder.passed_over = text(found.unread.count, " of kinds that are not read, such as ",
                              printable(found.unread.first.filename().string()));
  return folder;
}

// The name of the folder of `root` that `own` is or lies below; empty if there is none.
std::string own_folder(const fs::path& root, const fs::path& own) {
  if (own.empty()) return {};
  std::error_code error;
  const fs::path from = fs::weakly_canonical(root, error);
  if (error) return {};
  const fs::path to = fs::weakly_canonical(own, error);
  const fs::path below = error ? fs::path() : to.lexically_relative(from);
  return below.empty() || *below.begin() == ".." ? std::string() : below.begin()->string();
}

// What tells folders of images apart: the folders that all of them lie in, and the first part of what is left.
struct Level {
  std::string above;               // "", or "images"
  std::vector<std::string> names;  // sorted
};

Level level_of(std::vector<std::string> folders) {
  Level level;
  for (;;) {
    level.names.clear();
    for (const std::string& folder : folders) level.names.push_back(folder.substr(0, folder.find('/')));
    std::sort(level.names.begin(), level.names.end());
    level.names.erase(std::unique(level.names.begin(), level.names.end()), level.names.end());
    const std::string& name = level.names[0];
    if (level.names.size() > 1 || std::find(folders.begin(), folders.end(), name) != folders.end()) return level;
    level.above = (fs::path(level.above) / name).string();
    for (std::string& folder : folders) folder.erase(0, name.size() + 1);
  }
}

bool holds_images_itself(const ClassFolder& folder) { return folder.folders.front().empty(); }

std::vector<std::string> names_of(const std::vector<ClassFolder>& classes) {
  std::vector<std::string> names;
  for (const ClassFolder& folder : classes) names.push_back(folder.name);
  return names;
}

}  // namespace

bool is_left_behind(const fs::path& path) {
  const std::string name = path.filename();
  return name.starts_with('.') || name == "__MACOSX" || name == "@eaDir" || name == "lost+found";
}

std::vector<std::string> folders_in(const fs::path& root) {
  std::vector<std::string> names;
  for (const auto& entry : list_folder(root))
    if (std::error_code error; entry.is_directory(error) && !is_left_behind(entry))
      names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<ClassFolder> list_classes(const fs::path& root, const fs::path& own, std::vector<std::string>& notes) {
  Tally loose, unread, by_content, links, astray;
  std::vector<std::string> names, runs;
  for (const auto& entry : list_folder(root)) {
    if (is_left_behind(entry)) continue;
    std::error_code error;
    if (entry.is_directory(error))
      names.push_back(entry.path().filename());
    else if (kind_of_name(entry.path()) == NameKind::image)
      loose.add(entry.path());
    else if (entry.is_symlink(error) && !entry.exists(error))
      astray.add(entry.path());
  }
  if (names.empty())
    fail(Fault::input, root.string(),
         loose.count > 0 ? ": holds images but no folders" : ": holds no folders with images",
         ", expected a folder for each class");
  std::sort(names.begin(), names.end());
  const std::string own_name = own_folder(root, own);
  std::vector<ClassFolder> classes;
  for (const std::string& name : names) {
    if (!is_utf8(name))
      fail(Fault::input, shown(root / name), ": the folder's name is not UTF-8, expected UTF-8, as it names a class");
    Found found;
    look_below(root, name, found);
    if (found.images.empty() && (found.holds_run || name == own_name)) {
      runs.push_back(name);
      continue;
    }
    classes.push_back(to_class(name, found));
    unread.add(found.unread);
    by_content.add(found.by_content);
    links.add(found.links);
  }
  loose.tell(root, "image lies beside the folders of the classes and is passed over",
             "images lie beside the folders of the classes and are passed over", notes);
  astray.tell(root, "link leads nowhere and is passed over", "links lead nowhere and are passed over", notes);
  links.tell(root, "link to a folder below a class is not followed", "links to folders below classes are not followed",
             notes);
  unread.tell(root, "image is passed over", "images are passed over", notes, text("; expected ", image_names));
  by_content.tell(root, "image is known by its content alone, its name says nothing",
                  "images are known by their content alone, their names say nothing", notes);
  if (!runs.empty())
    notes.push_back(text(shown(root), ": ", listing(runs), runs.size() == 1 ? " is" : " are",
                         " of a training, without images, and no class"));
  return classes;
}

void check_nesting(const fs::path& root, const std::vector<ClassFolder>& classes, const DataOptions& options,
                   std::vector<std::string>& notes) {
  if (classes.empty()) return;
  const ClassFolder& first = classes[0];
  const auto meant = [&](const std::string& above) {
    return text("; is ", shown(above.empty() ? root / first.name : root / first.name / above), " meant?");
  };
  if (classes.size() == 1) {
    const Level level = holds_images_itself(first) ? Level() : level_of(first.folders);
    if (level.names.size() < 2) return check_count(root, names_of(classes), options, notes);
    refuse_or_note(options,
                   text(shown(root), ": one class only, ", excerpt(first.name), ", whose images lie in the folders ",
                        listing(level.names), ", expected a folder for each class", meant(level.above)),
                   notes);
    return;
  }
  const auto has_none_itself = [](const ClassFolder& folder) { return !holds_images_itself(folder); };
  if (std::all_of(classes.begin(), classes.end(), has_none_itself)) {
    std::vector<std::string> all;
    bool same = true;
    for (const ClassFolder& folder : classes) {
      all.insert(all.end(), folder.folders.begin(), folder.folders.end());
      same = same && folder.folders == first.folders;
    }
    const Level level = level_of(all);
    const bool parts = std::all_of(level.names.begin(), level.names.end(),
                                   [](const std::string& name) { return part_named(name) != PartName::none; });
    if (level.names.size() > 1 && (same || parts)) {
      refuse_or_note(
          options,
          text(shown(root), ": the images of all its folders, ", listing(names_of(classes)),
               ", lie in folders of the same names, ", listing(level.names), ", expected a folder for each class",
               parts ? text(" in each part (", level.names[0], "/", excerpt(first.name), ", not ", excerpt(first.name),
                            "/", level.names[0], ")")
                     : meant(level.above)),
          notes);
      return;
    }
  }
  // Images by source, day or breed: right as a rule, and worth a word.
  Tally nested;
  for (const ClassFolder& folder : classes)
    if (has_none_itself(folder) && level_of(folder.folders).names.size() > 1) nested.add(root / folder.name);
  nested.tell(root, "class has its images in several folders, all of which count for it",
              "classes have their images in several folders each, all of which count for the class", notes);
}

}  // namespace shear
