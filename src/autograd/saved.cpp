// The names of verdicts and forms, for reports.
#include "shear/saved.h"

namespace shear {

std::string_view name(const Verdict& v) {
  return std::visit(match{[](const Keep&) { return "keep"; }, [](const Recompute&) { return "recompute"; }}, v);
}

std::string_view name(const Kept& k) {
  return std::visit(match{[](const Dense&) { return "dense"; }, [](const Recomputed&) { return "recomputed"; }}, k);
}

}  // namespace shear
