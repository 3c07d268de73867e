// What holds for the names of classes, wherever they come from.
#include "data/classes.h"

#include <algorithm>
#include <unordered_map>

#include "data/files.h"
#include "shear/error.h"
#include "shear/utf8.h"

namespace shear {

namespace fs = std::filesystem;

void check_classes(const fs::path& data, DataSplits& splits) {
  const std::vector<std::string>& classes = splits.train->classes();
  std::unordered_map<std::string, const std::string*> by_key;
  for (const std::string& name : classes) {
    const auto [same, added] = by_key.emplace(look_alike_key(name), &name);
    if (added) continue;
    if (*same->second == name)
      fail(Fault::input, data.string(), ": two classes are called \"", excerpt(name), "\", expected a name for each");
    splits.notes.push_back(text(data.string(), ": the classes \"", excerpt(*same->second), "\" and \"", excerpt(name),
                                "\" differ by blanks, case or spelling of a letter only; each is a class of its own"));
  }
  std::vector<bool> seen(classes.size());
  for (int64_t i = 0; i < splits.train->size(); ++i) seen[static_cast<size_t>(splits.train->label(i))] = true;
  std::vector<std::string> unseen;
  for (size_t c = 0; c < classes.size(); ++c)
    if (!seen[c]) unseen.push_back(classes[c]);
  if (!unseen.empty())
    splits.notes.push_back(text(data.string(), ": ", unseen.size(), " of its ", classes.size(), " classes ",
                                unseen.size() == 1 ? "has" : "have", " no image to train on: ", listing(unseen)));
}

void refuse_or_note(const DataOptions& options, const std::string& sentence, std::vector<std::string>& notes) {
  if (!options.any_classes) fail(Fault::input, sentence);
  notes.push_back(sentence);
}

void check_count(const fs::path& data, const std::vector<std::string>& classes, const DataOptions& options,
                 std::vector<std::string>& notes) {
  if (classes.size() == 1)
    refuse_or_note(options, text(data.string(), ": one class only, ", excerpt(classes[0]), ", expected at least two"),
                   notes);
}

std::string unknown_class(const std::string& name, const std::vector<std::string>& classes) {
  const std::string key = look_alike_key(name);
  const auto alike = std::find_if(classes.begin(), classes.end(),
                                  [&](const std::string& other) { return look_alike_key(other) == key; });
  return text("the class \"", excerpt(name), "\" is not among the ", classes.size(), " classes of the training set",
              alike == classes.end() ? "" : text(" (which has \"", excerpt(*alike), "\")"));
}

}  // namespace shear
