// Names by pattern: of sites and of parameters.
#pragma once
#include <string_view>

#include "shear/api.h"

namespace SHEAR_API shear {

// Whether `text` fits a pattern, in which * stands for any characters or none, and {8..11} for a whole number from 8
// to 11. Everything else stands for itself.
bool fits(std::string_view pattern, std::string_view text);

}  // namespace shear
