// CUB-200-2011 (Wah et al., "The Caltech-UCSD Birds-200-2011 Dataset", 2011): lists of lines, a number and a value
// each.
//
//   classes.txt             class   its name, "001.Black_footed_Albatross"
//   images.txt              image   its path below images/
//   image_class_labels.txt  image   its class
//   train_test_split.txt    image   1: train, 0: test
#include <algorithm>
#include <charconv>
#include <string_view>
#include <unordered_map>

#include "data/files.h"
#include "data/listed.h"
#include "data/sources.h"
#include "shear/error.h"

namespace shear {
namespace {

namespace fs = std::filesystem;

// One of the lists.
struct List {
  struct Line {
    int64_t id;
    std::string value;
    int64_t number;  // from 1
  };
  fs::path path;
  std::vector<Line> lines;
  std::unordered_map<int64_t, size_t> by_id;  // index of a line

  List(const fs::path&, const char* value);

  // The value of `id` that line `from` of another list names.
  const Line& of(int64_t id, const List& other, const Line& from) const {
    const auto found = by_id.find(id);
    if (found == by_id.end())
      fail(Fault::input, path.string(), ": has no line for ", id, ", expected one, as ", other.path.string(), ", line ",
           from.number, " names it");
    return lines[found->second];
  }
};

bool read_number(std::string_view text, int64_t& number) {
  const auto end = std::from_chars(text.data(), text.data() + text.size(), number);
  return !text.empty() && end.ec == std::errc() && end.ptr == text.data() + text.size();
}

List::List(const fs::path& file, const char* value) : path(file) {
  const TextFile content(path, "a list of CUB-200-2011");
  std::string_view rest = content.text();
  for (int64_t number = 1; !rest.empty(); ++number) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (line.empty()) continue;
    const size_t space = std::min(line.find(' '), line.size());
    int64_t id = 0;
    if (space + 1 >= line.size() || !read_number(line.substr(0, space), id))
      fail(Fault::input, path.string(), ", line ", number, ": is \"", excerpt(line), "\", expected a number and ",
           value);
    if (!by_id.emplace(id, lines.size()).second)
      fail(Fault::input, path.string(), ", line ", number, ": ", id, " stands here again, expected it once");
    lines.push_back({id, std::string(line.substr(space + 1)), number});
  }
  if (lines.empty()) fail(Fault::input, path.string(), ": is empty, expected lines of a number and ", value);
}

DataSplits read_cub(const fs::path& folder, bool allow_absent) {
  const List classes(folder / "classes.txt", "the name of a class");
  const List images(folder / "images.txt", "the path of an image");
  const List labels(folder / "image_class_labels.txt", "the number of a class");
  const List parts(folder / "train_test_split.txt", "1 or 0");
  std::vector<std::string> names;
  for (const List::Line& line : classes.lines) names.push_back(line.value);
  std::vector<ListedImage> train, test;
  AbsentImages absent;
  for (const List::Line& image : images.lines) {
    const List::Line& label = labels.of(image.id, images, image);
    int64_t class_id = 0;
    if (!read_number(label.value, class_id) || !classes.by_id.contains(class_id))
      fail(Fault::input, labels.path.string(), ", line ", label.number, ": names the class ", excerpt(label.value),
           ", expected one of the ", names.size(), " of ", classes.path.string());
    const List::Line& part = parts.of(image.id, images, image);
    if (part.value != "0" && part.value != "1")
      fail(Fault::input, parts.path.string(), ", line ", part.number, ": says ", excerpt(part.value),
           ", expected 1 (train) or 0 (test)");
    (part.value == "1" ? train : test)
        .push_back({"images/" + image.value, static_cast<int>(classes.by_id.at(class_id))});
    absent.look_for(folder / "images" / image.value, image.number);
  }
  if (!allow_absent) absent.refuse(images.path);
  if (train.empty()) fail(Fault::input, parts.path.string(), ": has no image to train on, expected some with 1");
  DataSplits splits{"CUB-200-2011", make_listed(folder, std::move(train), names), nullptr, nullptr, {}};
  if (!test.empty()) splits.test = make_listed(folder, std::move(test), names);
  return splits;
}

}  // namespace

bool holds_cub(const fs::path& folder) {
  return is_file(folder / "image_class_labels.txt") || is_file(folder / "train_test_split.txt");
}

DataSplits open_cub(const fs::path& data, const fs::path& val, const DataOptions& options) {
  DataSplits splits = read_cub(data, options.allow_absent);
  if (val.empty()) return splits;
  DataSplits other = read_cub(val, options.allow_absent);
  splits.val = other.test ? std::move(other.test) : std::move(other.train);
  if (splits.val->classes() != splits.train->classes())
    fail(Fault::input, (val / "classes.txt").string(), ": names other classes than ", (data / "classes.txt").string(),
         ", expected the same");
  return splits;
}

}  // namespace shear
