// How sentences spell what the user sets.
#include "shear/error.h"

namespace shear {

static std::string& prefix() {
  static std::string before_each;
  return before_each;
}

std::string setting(std::string_view name) { return prefix() + std::string(name); }

void spell_settings(std::string_view before_each) { prefix() = before_each; }

}  // namespace shear
