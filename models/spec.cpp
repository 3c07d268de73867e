// What the spellings of all families share.
#include "models/spec.h"

#include <algorithm>
#include <charconv>

#include "shear/error.h"
#include "shear/suggest.h"

namespace shear {

std::vector<SpecPair> spec_pairs(std::string_view spec, std::string_view list) {
  std::vector<SpecPair> pairs;
  for (bool more = true; more;) {
    const size_t comma = list.find(',');
    const std::string_view item = list.substr(0, comma);
    more = comma != std::string_view::npos;
    if (more) list.remove_prefix(comma + 1);
    const size_t equals = item.find('=');
    if (equals == std::string_view::npos)
      fail(Fault::usage, "model ", spec, ": expected key=value, found \"", item, "\"");
    const SpecPair pair{item.substr(0, equals), item.substr(equals + 1)};
    if (std::any_of(pairs.begin(), pairs.end(), [&](const SpecPair& p) { return p.key == pair.key; }))
      fail(Fault::usage, "model ", spec, ": key ", pair.key, " is given twice");
    pairs.push_back(pair);
  }
  return pairs;
}

int64_t spec_number(std::string_view spec, const SpecPair& pair, int64_t highest) {
  int64_t value = 0;
  const std::string_view text = pair.value;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 1 || value > highest)
    fail(Fault::usage, "model ", spec, ": ", pair.key, "=", text, ", expected a whole number from 1 to ", highest);
  return value;
}

void unknown_key(std::string_view spec, std::string_view key, std::span<const std::string_view> known) {
  const std::vector<std::string> names(known.begin(), known.end());
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  fail(Fault::usage, "model ", spec, ": unknown key ", key, did_you_mean(key, names), ", expected one of ", all);
}

}  // namespace shear
