// The names of verdicts and forms, for reports.
#include "shear/saved.h"

namespace shear {

std::string_view name(const Verdict& v) {
  constexpr std::string_view names[] = {"keep",           "recompute",   "pack",      "top columns",
                                        "sample columns", "sample rows", "pack slope"};
  static_assert(std::size(names) == std::variant_size_v<Verdict>);
  return names[v.index()];
}

std::string_view name(const Kept& k) {
  constexpr std::string_view names[] = {"dense", "recomputed", "packed", "columns", "rows", "slopes"};
  static_assert(std::size(names) == std::variant_size_v<Kept>);
  return names[k.index()];
}

}  // namespace shear
