// The head of a weight file, for the classes of a data set.
#include "weights/head_rows.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <unordered_map>

#include "shear/utf8.h"

namespace shear {

std::vector<int64_t> indices_of(const std::vector<std::string>& wanted, const std::vector<std::string>& among) {
  std::unordered_map<std::string_view, int64_t> index;
  for (size_t i = 0; i < among.size(); ++i)
    if (const auto [at, fresh] = index.emplace(among[i], static_cast<int64_t>(i)); !fresh) at->second = -1;
  std::vector<int64_t> found;
  for (const std::string& name : wanted) {
    const auto at = index.find(name);
    found.push_back(at == index.end() ? -1 : at->second);
  }
  return found;
}

std::vector<int64_t> numbers_of(const std::vector<std::string>& names, int64_t limit) {
  std::vector<int64_t> numbers;
  for (const std::string& name : names) {
    int64_t number = -1;
    std::from_chars(name.data(), name.data() + name.size(), number);
    if (number < 0 || number >= limit || std::to_string(number) != name) return {};
    numbers.push_back(number);
  }
  return numbers;
}

std::string some_of(const std::vector<std::string>& names, size_t most) {
  std::string line;
  for (size_t i = 0; i < std::min(names.size(), most); ++i) line += (i ? ", " : "") + printable(names[i]);
  return names.size() > most ? text(line, " and ", names.size() - most, " more") : line;
}

static HeadPlan zero(std::string note) { return {HeadFrom::zero, {}, note + "; the new one begins at zero"}; }

// Rows of the file's head, one for each class; as it is where they are all its rows in their order.
static HeadPlan take(std::vector<int64_t> rows, int64_t has, const std::string& kept, const std::string& taken) {
  std::vector<int64_t> order(static_cast<size_t>(has));
  std::iota(order.begin(), order.end(), 0);
  if (rows == order) return {HeadFrom::file, {}, kept};
  return {HeadFrom::rows, std::move(rows), taken};
}

HeadPlan plan_head(const Weights& weights, int64_t count, const std::vector<std::string>& classes) {
  const int64_t has = weights.classes();
  const std::vector<std::string>& names = weights.class_names();
  if (has == 0) return zero("there is no head");
  const std::string other_count = text("its head has ", has, " classes, not the ", count, " of the data");
  if (classes.empty()) return has == count ? HeadPlan{} : zero(other_count);

  if (!names.empty()) {
    std::vector<int64_t> rows = indices_of(classes, names);
    const auto known = static_cast<size_t>(std::count_if(rows.begin(), rows.end(), [](int64_t r) { return r >= 0; }));
    if (known == classes.size())
      return take(std::move(rows), has, "its head is for the classes of the data, in their order",
                  has == count ? text("its head is for the classes of the data in another order: rows go by name")
                               : text("its head has ", has, " classes: the ", count, " of the data are taken by name"));
    std::vector<std::string> unknown;
    for (size_t i = 0; i < classes.size(); ++i)
      if (rows[i] < 0) unknown.push_back(classes[i]);
    const std::string not_for = known > 0 ? text(", which leaves out the data's ", some_of(unknown)) : std::string();
    return zero(text("its head is for ", some_of(names), not_for));
  }
  if (has != count) return zero(other_count);
  std::vector<int64_t> rows = numbers_of(classes, has);
  if (rows.empty()) return zero(text("its head does not name its ", has, " classes"));
  const std::string note = text("its head names no classes, and those of the data are numbers: row i is for class i");
  return take(std::move(rows), has, note, note);
}

}  // namespace shear
