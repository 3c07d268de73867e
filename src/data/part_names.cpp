// What folders and lists call the parts of a data set.
#include "data/part_names.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <utility>

namespace shear {
namespace {

constexpr std::pair<std::string_view, PartName> names[] = {
    {"train", PartName::train},     {"training", PartName::train}, {"val", PartName::val},
    {"valid", PartName::val},       {"validate", PartName::val},   {"validation", PartName::val},
    {"dev", PartName::val},         {"eval", PartName::eval},      {"evaluate", PartName::eval},
    {"evaluation", PartName::eval}, {"test", PartName::test},      {"testing", PartName::test}};
// The longer first: of "images_train" an "s" would be left else.
constexpr std::string_view added[] = {"images", "image",  "imgs",  "img",  "pictures", "photos", "photo", "samples",
                                      "sample", "folder", "split", "data", "sets",     "set",    "dir"};

}  // namespace

PartName part_named(std::string_view name) {
  std::string word;
  for (const char c : name)
    if (std::string_view(" _-.()[]").find(c) == std::string_view::npos)
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::string_view rest = word;
  while (!rest.empty() && rest.back() >= '0' && rest.back() <= '9') rest.remove_suffix(1);
  for (bool shorter = true; shorter;) {
    for (const auto& [known, part] : names)
      if (rest == known) return part;
    shorter = false;
    for (const std::string_view affix : added) {
      if (rest.size() > affix.size() && rest.ends_with(affix)) rest.remove_suffix(affix.size()), shorter = true;
      if (rest.size() > affix.size() && rest.starts_with(affix)) rest.remove_prefix(affix.size()), shorter = true;
    }
  }
  return PartName::none;
}

PartName meaning_of_eval(bool has_val, bool has_test) {
  return !has_val ? PartName::val : !has_test ? PartName::test : PartName::none;
}

}  // namespace shear
