// Architectures of plain ViTs by their names.
#pragma once
#include <span>
#include <string_view>

namespace shear {

struct Architecture {
  std::string_view name;  // as timm has it
  std::string_view keys;  // what it is, as the free form "vit:..." spells it, but for its classes
};
std::span<const Architecture> architectures();
const Architecture* find_architecture(std::string_view name);  // null: it is none

}  // namespace shear
