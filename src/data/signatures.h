// Files that are no image which we read, by how they begin.
#pragma once
#include <string>

#include "data/files.h"

namespace shear {

constexpr size_t signature_bytes = 1024;  // enough to tell what a file is

// "is a PDF document", or "begins with the bytes 68 65" where nobody would know it by them.
std::string what_is(Bytes head);

}  // namespace shear
