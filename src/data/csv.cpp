// A CSV that lists images: a header with a column of paths, one of labels and maybe one of parts; other columns are
// passed over.  Paths are taken from the CSV's own folder.
#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>

#include "data/classes.h"
#include "data/csv_lines.h"
#include "data/files.h"
#include "data/listed.h"
#include "data/part_names.h"
#include "data/sources.h"
#include "shear/error.h"
#include "shear/utf8.h"

namespace shear {
namespace {

namespace fs = std::filesystem;

std::string lower(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lowered;
}

// What columns may be called, the name that goes before all others first; in any case, with or without blanks, "_", "-"
// and a last "s".
constexpr std::string_view path_names[] = {"path",      "file",      "filename", "filepath", "image",  "imagename",
                                           "imagepath", "imagefile", "img",      "imgname",  "imgpath"};
constexpr std::string_view label_names[] = {"label", "class", "classname", "labelname", "target", "category"};
// Beside "split", which must hold nothing but names of parts, a column of these is one if it does.
constexpr std::string_view split_names[] = {"split", "subset", "set", "dataset", "partition", "part", "usage"};

struct HeadLine {
  std::vector<std::string> names;  // as they stand there

  bool is_called(size_t column, std::string_view name) const {
    std::string plain;
    for (const char c : lower(names[column]))
      if (std::string_view(" _-").find(c) == std::string_view::npos) plain += c;
    return plain == name || (plain.ends_with('s') && std::string_view(plain).substr(0, plain.size() - 1) == name);
  }
  std::vector<size_t> called(std::string_view name) const {
    std::vector<size_t> columns;
    for (size_t i = 0; i < names.size(); ++i)
      if (is_called(i, name)) columns.push_back(i);
    return columns;
  }
  std::vector<size_t> called(std::span<const std::string_view> any) const {
    std::vector<size_t> columns;
    for (const std::string_view name : any)
      for (const size_t column : called(name)) columns.push_back(column);
    return columns;
  }
};

struct Columns {
  size_t count, path, label;
  std::optional<size_t> split;
  std::vector<size_t> maybe_split;
};

// Commas, unless the header makes sense with one of the others alone.
char delimiter_of(const CsvLines& csv) {
  std::string fitting;
  for (const char delimiter : {',', ';', '\t'}) {
    const HeadLine header{csv.first_line(delimiter)};
    if (!header.called(path_names).empty() && !header.called(label_names).empty()) fitting += delimiter;
  }
  return fitting.size() == 1 ? fitting[0] : ',';
}

Columns read_header(CsvLines& csv, const fs::path& path, std::vector<std::string>& notes) {
  csv.use(delimiter_of(csv));
  HeadLine header;
  if (!csv.next(header.names)) csv.refuse("there is nothing, expected a header with the columns path and label");
  const auto quoted = [&](size_t column) { return '"' + excerpt(header.names[column]) + '"'; };
  // The one that is called by the first name, else by another.
  const auto only = [&](std::span<const std::string_view> all) -> std::optional<size_t> {
    std::vector<size_t> found = header.called(all[0]), others = header.called(all.subspan(1));
    if (found.size() == 1 && !others.empty())
      notes.push_back(
          text(path.string(), ": its column ", quoted(others[0]), " is passed over, as there is ", quoted(found[0])));
    if (found.empty()) found = std::move(others);
    if (found.empty()) return std::nullopt;
    if (found.size() > 1)
      csv.refuse("has the columns ", quoted(found[0]), " and ", quoted(found[1]), ", either of which may be the ",
                 all[0], ", expected one, or one called ", all[0]);
    return found[0];
  };
  const std::optional<size_t> image = only(path_names), label = only(label_names);
  if (!image || !label) {
    std::string shown;
    for (const std::string& name : header.names) shown += (shown.empty() ? "\"" : ", \"") + name + '"';
    csv.refuse("has the columns ", excerpt(shown), ", expected path and label, and maybe split");
  }
  Columns columns{header.names.size(), *image, *label, only(std::span(split_names).first(1)), {}};
  if (!columns.split) columns.maybe_split = header.called(split_names);
  return columns;
}

struct Row {
  std::string path, label;
  int64_t line;
};

// The rows of each part; those of `eval` are another's in the end.
struct Rows {
  std::vector<Row> train, val, eval, test;

  std::vector<Row>& of(PartName part) {
    return part == PartName::train ? train : part == PartName::val ? val : part == PartName::eval ? eval : test;
  }
};

// An image has one class.  Listed again with the same one it counts twice; in another part it gives the game away.
void check_listed_twice(const fs::path& path, const std::vector<Row>& rows, const std::vector<PartName>& parts,
                        std::vector<std::string>& notes) {
  struct Repeated {
    size_t lines = 0;
    const Row *first = nullptr, *again = nullptr;  // an example

    void note(const Row& before, const Row& row) {
      if (lines++ == 0) first = &before, again = &row;
    }
    std::string told() const {
      return text(lines, lines == 1 ? " line" : " lines", ", as ", excerpt(again->path), " on lines ", first->line,
                  " and ", again->line);
    }
  } in_part, in_another;
  std::unordered_map<std::string, size_t> first;
  const auto part = [&](size_t i) { return parts.empty() ? PartName::train : parts[i]; };
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto [place, is_new] = first.emplace(fs::path(rows[i].path).lexically_normal().string(), i);
    if (is_new) continue;
    const Row& other = rows[place->second];
    if (other.label != rows[i].label)
      fail(Fault::input, path.string(), ", line ", rows[i].line, ": ", excerpt(rows[i].path), " is \"",
           excerpt(rows[i].label), "\", but \"", excerpt(other.label), "\" on line ", other.line,
           ", expected one label for an image");
    if (part(i) == part(place->second))
      in_part.note(other, rows[i]);
    else if (part(i) == PartName::train || part(place->second) == PartName::train)
      in_another.note(other, rows[i]);
  }
  if (in_part.lines > 0)
    notes.push_back(
        text(path.string(), ": lists images again (", in_part.told(), "), each counts as often as it is listed"));
  if (in_another.lines > 0)
    notes.push_back(text(path.string(), ": lists images to train on in another part too (", in_another.told(),
                         "), so accuracies are of images that were trained on"));
}

Rows read_rows(const fs::path& path, const DataOptions& options, std::vector<std::string>& notes) {
  CsvLines csv(path);
  const Columns columns = read_header(csv, path, notes);
  std::vector<Row> all;
  std::vector<PartName> parts;
  std::vector<std::vector<PartName>> maybe_parts(columns.maybe_split.size());
  AbsentImages missing;
  std::vector<std::string> fields;
  while (csv.next(fields)) {
    if (fields.size() != columns.count)
      csv.refuse("has ", fields.size(), " fields, expected the ", columns.count, " of the header");
    if (fields[columns.path].empty()) csv.refuse("the path is empty, expected that of an image");
    if (look_alike_key(fields[columns.label]).empty()) csv.refuse("the label is empty, expected the name of a class");
    if (columns.split) {
      parts.push_back(part_named(fields[*columns.split]));
      if (parts.back() == PartName::none)
        csv.refuse("the split is \"", excerpt(fields[*columns.split]), "\", expected train, val or test");
    }
    for (size_t i = 0; i < maybe_parts.size(); ++i)
      maybe_parts[i].push_back(part_named(fields[columns.maybe_split[i]]));
    all.push_back({fields[columns.path], fields[columns.label], csv.line()});
    missing.look_for(path.parent_path() / all.back().path, csv.line());
  }
  if (!options.allow_absent) missing.refuse(path);
  for (std::vector<PartName>& maybe : maybe_parts)
    if (parts.empty() && std::find(maybe.begin(), maybe.end(), PartName::none) == maybe.end()) parts = std::move(maybe);
  check_listed_twice(path, all, parts, notes);
  Rows rows;
  for (size_t i = 0; i < all.size(); ++i)
    rows.of(parts.empty() ? PartName::train : parts[i]).push_back(std::move(all[i]));
  if (rows.eval.empty()) return rows;
  const PartName meaning = meaning_of_eval(!rows.val.empty(), !rows.test.empty());
  if (meaning == PartName::none)
    fail(Fault::input, path.string(), ", line ", rows.eval[0].line,
         ": has a part for evaluation beside those for validation and tests, expected one for each");
  rows.of(meaning) = std::move(rows.eval);
  return rows;
}

std::unique_ptr<Dataset> listed(const fs::path& csv, const std::vector<Row>& rows,
                                const std::vector<std::string>& classes) {
  std::unordered_map<std::string_view, int> index;
  for (size_t i = 0; i < classes.size(); ++i) index.emplace(classes[i], static_cast<int>(i));
  std::vector<ListedImage> images;
  for (const Row& row : rows) {
    const auto found = index.find(row.label);
    if (found == index.end())
      fail(Fault::input, csv.string(), ", line ", row.line, ": ", unknown_class(row.label, classes));
    images.push_back({row.path, found->second});
  }
  return make_listed(csv.parent_path(), std::move(images), classes);
}

}  // namespace

bool is_csv(const fs::path& path) { return is_file(path) && lower(path.extension().string()) == ".csv"; }

DataSplits open_csv(const fs::path& data, const fs::path& val_path, const DataOptions& options) {
  DataSplits splits{"CSV", nullptr, nullptr, nullptr, {}};
  const Rows rows = read_rows(data, options, splits.notes);
  if (rows.train.empty()) fail(Fault::input, data.string(), ": lists no images to train on, expected some");
  std::vector<std::string> classes;
  for (const Row& row : rows.train) classes.push_back(row.label);
  std::sort(classes.begin(), classes.end());
  classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
  sort_names(classes, options.class_order);
  splits.train = listed(data, rows.train, classes);
  if (!rows.test.empty()) splits.test = listed(data, rows.test, classes);
  if (val_path.empty()) {
    if (!rows.val.empty()) splits.val = listed(data, rows.val, classes);
    return splits;
  }
  const Rows other = read_rows(val_path, options, splits.notes);
  const std::vector<Row>& chosen = !other.val.empty() ? other.val : !other.test.empty() ? other.test : other.train;
  if (chosen.empty()) fail(Fault::input, val_path.string(), ": lists no images, expected some");
  splits.val = listed(val_path, chosen, classes);
  return splits;
}

}  // namespace shear
