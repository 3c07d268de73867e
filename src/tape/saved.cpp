// The names of verdicts, roles and forms, for reports.
#include "shear/saved.h"

namespace shear {

std::string_view name(const Verdict& v) {
  constexpr std::string_view names[] = {"keep",           "recompute",   "pack",      "top columns",
                                        "sample columns", "sample rows", "pack slope"};
  static_assert(std::size(names) == std::variant_size_v<Verdict>);
  return names[v.index()];
}

std::string_view name(Role role) {
  switch (role) {
    case Role::linear_input:
      return "linear input";
    case Role::norm_input:
      return "norm input";
    case Role::activation_input:
      return "activation input";
    case Role::qkv:
      return "queries, keys and values";
    case Role::probabilities:
      return "attention probabilities";
    case Role::other:
      break;
  }
  return "other";
}

std::string_view name(const Kept& k) {
  constexpr std::string_view names[] = {"dense", "recomputed", "packed", "columns", "rows", "slopes"};
  static_assert(std::size(names) == std::variant_size_v<Kept>);
  return names[k.index()];
}

}  // namespace shear
