// Names by pattern: of sites and of parameters.
#include "shear/pattern.h"

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>

namespace shear {

namespace {

// A number without signs and leading zeros at the start of `text`, which then begins behind it.
std::optional<int64_t> take_number(std::string_view& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto digits = static_cast<size_t>(end - text.data());
  if (error != std::errc() || text[0] == '-' || (digits > 1 && text[0] == '0')) return {};
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

// Takes {a..b} from the pattern and a number in it from the text; takes nothing where that cannot be.
bool take_range(std::string_view& pattern, std::string_view& text) {
  std::string_view p = pattern, t = text;
  if (!take(p, "{")) return false;
  const auto low = take_number(p);
  if (!low || !take(p, "..")) return false;
  const auto high = take_number(p);
  if (!high || !take(p, "}")) return false;
  const auto found = take_number(t);
  if (!found || *found < *low || *found > *high) return false;
  pattern = p;
  text = t;
  return true;
}

}  // namespace

bool fits(std::string_view pattern, std::string_view text) {
  // Where the last star was met: what stands behind it, and the text that is not given to it yet.
  std::optional<std::string_view> behind;
  std::string_view rest;
  while (!text.empty()) {
    if (take(pattern, "*")) {
      behind = pattern;
      rest = text;
    } else if (take_range(pattern, text)) {
      continue;
    } else if (!pattern.empty() && pattern[0] == text[0]) {
      pattern.remove_prefix(1);
      text.remove_prefix(1);
    } else if (behind) {
      rest.remove_prefix(1);
      pattern = *behind;
      text = rest;
    } else {
      return false;
    }
  }
  while (take(pattern, "*")) continue;
  return pattern.empty();
}

bool takes(std::string_view pattern, std::string_view name) {
  return fits(pattern, name) || fits(std::string(pattern) + ".*", name);
}

}  // namespace shear
