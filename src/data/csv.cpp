// A CSV (RFC 4180) that lists images: a header with the columns path and label, and maybe split; other columns are
// passed over.  Paths are taken from the CSV's own folder.
#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>
#include <unordered_map>

#include "data/files.h"
#include "data/listed.h"
#include "data/sources.h"
#include "shear/error.h"

namespace shear {
namespace {

namespace fs = std::filesystem;

std::string lower(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lowered;
}

class Csv {
 public:
  explicit Csv(const fs::path& path) : path_(path), bytes_(read_bytes(path, "a CSV")) {
    rest_ = {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
    if (rest_.starts_with("\xef\xbb\xbf")) rest_.remove_prefix(3);  // which spreadsheets put there
  }

  // The fields of the next line that is not empty; false at the end.
  bool next(std::vector<std::string>& fields) {
    while (!rest_.empty()) {
      fields.clear();
      line_ = next_line_;
      while (take_field(fields.emplace_back())) {
      }
      if (fields.size() > 1 || !fields[0].empty()) return true;
    }
    return false;
  }
  int64_t line() const { return line_; }  // of what next gave, from 1

  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(Fault::input, path_.string(), ", line ", line_, ": ", parts...);
  }

 private:
  char take() {
    const char c = rest_.front();
    rest_.remove_prefix(1);
    if (c == '\n') ++next_line_;
    return c;
  }

  // Whether another field follows in the line.
  bool take_field(std::string& field) {
    if (!rest_.empty() && rest_.front() == '"') {
      take();
      for (;;) {
        if (rest_.empty()) refuse("a quoted field has no end, expected a second \"");
        const char c = take();
        if (c != '"') {
          field += c;
        } else if (!rest_.empty() && rest_.front() == '"') {
          field += take();
        } else {
          break;
        }
      }
      if (!rest_.empty() && std::string_view(",\r\n").find(rest_.front()) == std::string_view::npos)
        refuse("a quoted field goes on after its second \", expected a comma or the end of the line");
    }
    while (!rest_.empty()) {
      const char c = take();
      if (c == ',') return true;
      if (c == '\n') break;
      if (c != '\r' || (!rest_.empty() && rest_.front() != '\n')) field += c;
    }
    return false;
  }

  fs::path path_;
  std::vector<uint8_t> bytes_;
  std::string_view rest_;
  int64_t line_ = 1, next_line_ = 1;
};

constexpr size_t absent = SIZE_MAX;

struct Columns {
  size_t count, path, label, split;
};

Columns read_header(Csv& csv) {
  std::vector<std::string> names;
  if (!csv.next(names)) csv.refuse("there is nothing, expected a header with the columns path and label");
  std::string shown;
  for (std::string& name : names) {
    shown += (shown.empty() ? "\"" : ", \"") + name + '"';
    name = lower(name);
  }
  const auto column = [&](const char* name) {
    const auto at = std::find(names.begin(), names.end(), name);
    if (at == names.end()) return absent;
    if (std::find(at + 1, names.end(), name) != names.end()) csv.refuse("has two columns ", name, ", expected one");
    return static_cast<size_t>(at - names.begin());
  };
  const Columns columns{names.size(), column("path"), column("label"), column("split")};
  if (columns.path == absent || columns.label == absent)
    csv.refuse("has the columns ", shown, ", expected path and label, and maybe split");
  return columns;
}

enum Part { train, val, test };

Part part_of(const Csv& csv, const std::string& name) {
  const std::string lowered = lower(name);
  if (lowered == "train") return train;
  if (lowered == "val" || lowered == "valid" || lowered == "validation") return val;
  if (lowered == "test") return test;
  csv.refuse("the split is \"", name, "\", expected train, val or test");
}

struct Row {
  std::string path, label;
  int64_t line;
};

// Rows by part.
std::array<std::vector<Row>, 3> read_rows(const fs::path& path, bool allow_absent) {
  Csv csv(path);
  const Columns columns = read_header(csv);
  std::array<std::vector<Row>, 3> rows;
  AbsentImages missing;
  std::vector<std::string> fields;
  while (csv.next(fields)) {
    if (fields.size() != columns.count)
      csv.refuse("has ", fields.size(), " fields, expected the ", columns.count, " of the header");
    if (fields[columns.path].empty()) csv.refuse("the path is empty, expected that of an image");
    if (fields[columns.label].empty()) csv.refuse("the label is empty, expected the name of a class");
    const Part part = columns.split == absent ? train : part_of(csv, fields[columns.split]);
    rows[part].push_back({fields[columns.path], fields[columns.label], csv.line()});
    missing.look_for(path.parent_path() / fields[columns.path], csv.line());
  }
  if (!allow_absent) missing.refuse(path);
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
      fail(Fault::input, csv.string(), ", line ", row.line, ": the class \"", row.label, "\" is not among the ",
           classes.size(), " classes of the training set");
    images.push_back({row.path, found->second});
  }
  return make_listed(csv.parent_path(), std::move(images), classes);
}

}  // namespace

bool is_csv(const fs::path& path) { return is_file(path) && lower(path.extension().string()) == ".csv"; }

DataSplits open_csv(const fs::path& data, const fs::path& val_path, const DataOptions& options) {
  const auto rows = read_rows(data, options.allow_absent);
  if (rows[train].empty()) fail(Fault::input, data.string(), ": lists no images to train on, expected some");
  std::vector<std::string> classes;
  for (const Row& row : rows[train]) classes.push_back(row.label);
  std::sort(classes.begin(), classes.end());
  classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
  sort_names(classes, options.class_order);
  DataSplits splits{"CSV", listed(data, rows[train], classes), nullptr, nullptr, {}};
  if (!rows[test].empty()) splits.test = listed(data, rows[test], classes);
  if (val_path.empty()) {
    if (!rows[val].empty()) splits.val = listed(data, rows[val], classes);
    return splits;
  }
  const auto other = read_rows(val_path, options.allow_absent);
  const Part part = !other[val].empty() ? val : !other[test].empty() ? test : train;
  if (other[part].empty()) fail(Fault::input, val_path.string(), ": lists no images, expected some");
  splits.val = listed(val_path, other[part], classes);
  return splits;
}

}  // namespace shear
