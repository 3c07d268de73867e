// Names by pattern: of sites and of parameters.
#pragma once
#include <string_view>

#include "shear/api.h"

namespace SHEAR_API shear {

// Whether `text` fits a pattern, in which * stands for any characters or none, and {8..11} for a whole number from 8
// to 11. Everything else stands for itself.
bool fits(std::string_view pattern, std::string_view text);
// Whether a pattern fits a name with dots, or what it is in: blocks.{0..1}.attn takes blocks.1.attn.qkv.weight.
bool takes(std::string_view pattern, std::string_view name);

}  // namespace shear
