// A model in many files, as Hugging Face's libraries write large ones.
#pragma once
#include "shear/io.h"

namespace shear {

// What stands for a whole model: of a directory the file in it, or the index of its parts; of one of several parts the
// index beside it; else the path itself.  Throws Fault::input where there is none.
std::filesystem::path whole_file(const std::filesystem::path&);

bool is_index(const std::filesystem::path&);  // by its name

// One file, by what it holds.  Throws Fault::input for a format that is not known.
std::unique_ptr<TensorFile> open_one_file(const std::filesystem::path&);

}  // namespace shear
