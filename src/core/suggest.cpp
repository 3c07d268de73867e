// What somebody may have meant.
#include "shear/suggest.h"

#include <algorithm>
#include <cctype>

namespace shear {

static char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

// Optimal string alignment: row by row, with the two rows before at hand.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> older(b.size() + 1), before(b.size() + 1), row(b.size() + 1);
  for (size_t k = 0; k <= b.size(); ++k) before[k] = k;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t k = 1; k <= b.size(); ++k) {
      const bool same = lower(a[i - 1]) == lower(b[k - 1]);
      row[k] = std::min({before[k] + 1, row[k - 1] + 1, before[k - 1] + (same ? 0 : 1)});
      if (i > 1 && k > 1 && lower(a[i - 1]) == lower(b[k - 2]) && lower(a[i - 2]) == lower(b[k - 1]))
        row[k] = std::min(row[k], older[k - 2] + 1);
    }
    std::swap(older, before);
    std::swap(before, row);
  }
  return before[b.size()];
}

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  constexpr size_t longest = 64;  // beyond it nobody mistyped a name
  std::string found;
  if (word.empty() || word.size() > longest) return found;
  size_t least = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string& name : known)
    if (const size_t d = edit_distance(word, name); d < least) {
      least = d;
      found = name;
    }
  return found;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
  const std::string found = nearest(word, known);
  return found.empty() ? found : " (did you mean " + found + "?)";
}

std::string listed(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return all;
}

}  // namespace shear
