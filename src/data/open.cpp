// Which kind of data set a path is, and what every kind has in common.
#include <algorithm>

#include "data/classes.h"
#include "data/files.h"
#include "data/sources.h"
#include "shear/error.h"

namespace shear {
namespace {

namespace fs = std::filesystem;

struct Kind {
  const char *name, *files;
  bool (*holds)(const fs::path&);
  DataSplits (*open)(const fs::path&, const fs::path&, const DataOptions&);
};
// The first that holds is the one; the last holds for every folder.
constexpr Kind kinds[] = {{"idx", "IDX files", holds_idx, open_idx},
                          {"cifar", "CIFAR files", holds_cifar, open_cifar},
                          {"flowers102", "Flowers-102", holds_flowers, open_flowers},
                          {"cub200", "CUB-200-2011", holds_cub, open_cub},
                          {"csv", "a CSV of images", is_csv, open_csv},
                          {"folders", "class folders", [](const auto&) { return true; }, open_folders}};
constexpr const char* any_kind =
    ", expected a folder with IDX files, CIFAR files, Flowers-102, CUB-200-2011 or a folder for each class, or a CSV";

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

void require_data(const fs::path& path, const DataOptions& options) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) fail(Fault::input, path.string(), ": does not exist", any_kind);
  if (error) fail(Fault::input, path.string(), ": cannot be read (", error.message(), ")", any_kind);
  if (!fs::is_directory(status)) {
    if (options.kind.empty() ? is_csv(path) : options.kind == "csv" && is_file(path)) return;
    if (fs::is_regular_file(status)) fail(Fault::input, path.string(), ": is not a folder", any_kind);
    fail(Fault::input, path.string(), ": is ", name_of(status.type()), any_kind);
  }
  if (list_folder(path).empty()) fail(Fault::input, path.string(), ": is empty", any_kind);
}

const Kind& kind_of(const fs::path& path, const std::string& asked) {
  if (asked.empty())
    return *std::find_if(std::begin(kinds), std::end(kinds), [&](const Kind& k) { return k.holds(path); });
  const Kind& kind = *std::find_if(std::begin(kinds), std::end(kinds), [&](const Kind& k) { return k.name == asked; });
  if (is_folder(path) ? !kind.holds(path) : asked != "csv")
    fail(Fault::input, path.string(), ": does not hold ", kind.files, ", expected some for ", setting("kind"), " ",
         asked);
  return kind;
}

void check(const DataOptions& o) {
  if (const auto& names = data_kinds();
      !o.kind.empty() && std::find(names.begin(), names.end(), o.kind) == names.end()) {
    std::string shown;
    for (const std::string& name : names) shown += (shown.empty() ? "" : name == names.back() ? " or " : ", ") + name;
    fail(Fault::usage, setting("kind"), " ", o.kind, ": expected ", shown);
  }
  if (o.class_order != "plain" && o.class_order != "natural")
    fail(Fault::usage, setting("class-order"), " ", o.class_order, ": expected plain or natural");
  if (!(o.val_share >= 0 && o.val_share < 1))
    fail(Fault::usage, setting("val-share"), " ", o.val_share, ": expected at least 0 and less than 1");
}

}  // namespace

const std::vector<std::string>& data_kinds() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Kind& kind : kinds) all.emplace_back(kind.name);
    return all;
  }();
  return names;
}

DataSplits open_data(const fs::path& data, const fs::path& val, const DataOptions& options) {
  check(options);
  require_data(data, options);
  if (!val.empty()) require_data(val, options);
  const Kind& kind = kind_of(data, options.kind);
  if (!val.empty())
    if (const Kind& other = kind_of(val, options.kind); &other != &kind)
      fail(Fault::input, val.string(), ": holds ", other.files, ", expected the same kind of data as ", data.string(),
           ", which holds ", kind.files);
  if (options.official_split && kind.open != open_flowers)
    fail(Fault::usage, setting("official-split"), " is for Flowers-102, ", data.string(), " holds ", kind.files);
  DataSplits splits = kind.open(data, val, options);
  check_classes(data, splits);
  if (kind.open != open_folders) check_count(data, splits.train->classes(), options, splits.notes);  // which did
  if (options.val_share > 0 && splits.val)
    splits.notes.push_back(text(val.empty() ? data.string() : val.string(), ": is validated on, so that no share (",
                                setting("val-share"), " ", options.val_share, ") of the training images is held out"));
  else if (options.val_share > 0)
    hold_out(splits, options.val_share, options.split_seed, data.string());
  if (!splits.val) splits.val = std::move(splits.test);
  return splits;
}

}  // namespace shear
