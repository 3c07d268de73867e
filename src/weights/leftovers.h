// Tensors in weight files that are no parameter of Shear's ViT: what they are known to be.
#pragma once
#include <string_view>

#include "shear/weights.h"

namespace shear {

// `name` without the naming's prefix; what is not known of `library` is Loss::some, and nothing said of it.
Unused leftover(std::string_view library, const std::string& name);
// Of a tensor that stands beside the image tower's, not behind its prefix.
Unused leftover_beside(std::string_view library, const std::string& name);
// State of the optimizer or the policy in a checkpoint of ours.
bool is_state(std::string_view name);

}  // namespace shear
