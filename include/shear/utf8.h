// Names and paths as people read them.  The file system takes any bytes; text, JSON and terminals want UTF-8.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "shear/api.h"

namespace SHEAR_API shear {

bool is_utf8(std::string_view);  // no overlong forms, no surrogates

// For a terminal, a sentence or JSON: control characters and bytes that are no UTF-8 become \xHH.
std::string printable(std::string_view);

// The same for names that a reader would take for one: without blanks at the ends, runs of blanks as one, in NFKC with
// its case folded (Unicode Standard Annex 15; Unicode 15, section 3.13).  What is no UTF-8 stays as it is.
std::string look_alike_key(std::string_view);

// How many columns of a terminal a printable text takes, and the part of it that fits into so many, in whole
// characters.
size_t display_width(std::string_view);
std::string cut_to_width(std::string_view, size_t columns);

}  // namespace shear
