// A folder for each class: what lies in it.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "shear/data.h"

namespace shear {

struct ClassFolder {
  std::string name;
  std::vector<std::string> images;   // paths below the root, by the folder they lie in, then by name
  std::vector<std::string> folders;  // those of `images`, below the class; "": its own
  std::string passed_over;           // for a sentence: what lies here that is not read; empty: nothing
};

// Folders and files that tools leave behind (.ipynb_checkpoints, __MACOSX, ._cat.jpg) are no data.
bool is_left_behind(const std::filesystem::path&);

// The names of the folders in a folder, sorted.
std::vector<std::string> folders_in(const std::filesystem::path&);

// Those of a root, sorted by name, with or without images.  A folder with a run in it (`own`: that of this run, should
// it lie there) and without images is no class.  Notes what is passed over.
std::vector<ClassFolder> list_classes(const std::filesystem::path& root, const std::filesystem::path& own,
                                      std::vector<std::string>& notes);

// Refuses (or notes, see refuse_or_note) a single class, and folders that look like one too many above the classes, or
// between them and their images.  All of `classes` hold images.
void check_nesting(const std::filesystem::path& root, const std::vector<ClassFolder>& classes, const DataOptions&,
                   std::vector<std::string>& notes);

}  // namespace shear
