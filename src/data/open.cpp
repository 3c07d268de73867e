// Which kind of data set a path is.
#include "data/sources.h"
#include "shear/error.h"

namespace shear {
namespace {

void require_folder(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  constexpr const char* expected = ", expected a folder with IDX files, CIFAR files or a folder for each class";
  if (status.type() == std::filesystem::file_type::not_found)
    fail(Fault::input, path.string(), ": does not exist", expected);
  if (error) fail(Fault::input, path.string(), ": cannot be read (", error.message(), ")", expected);
  if (!std::filesystem::is_directory(status)) fail(Fault::input, path.string(), ": is not a folder", expected);
  if (list_folder(path).empty()) fail(Fault::input, path.string(), ": is empty", expected);
}

}  // namespace

bool is_file(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

std::vector<std::filesystem::directory_entry> list_folder(const std::filesystem::path& folder) {
  std::vector<std::filesystem::directory_entry> entries;
  std::error_code error;
  std::filesystem::directory_iterator at(folder, error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) entries.push_back(*at);
  if (error) fail(Fault::input, folder.string(), ": cannot be listed (", error.message(), ")");
  return entries;
}

DataSplits open_data(const std::filesystem::path& data, const std::filesystem::path& val) {
  require_folder(data);
  if (!val.empty()) require_folder(val);
  struct Kind {
    const char* files;
    bool (*holds)(const std::filesystem::path&);
    DataSplits (*open)(const std::filesystem::path&, const std::filesystem::path&);
  };
  static constexpr Kind kinds[] = {{"IDX files", holds_idx, open_idx},
                                   {"CIFAR files", holds_cifar, open_cifar},
                                   {"class folders", [](const auto&) { return true; }, open_folders}};
  const auto kind_of = [](const std::filesystem::path& folder) -> const Kind& {
    const Kind* kind = kinds;
    while (!kind->holds(folder)) ++kind;
    return *kind;
  };
  const Kind& kind = kind_of(data);
  if (!val.empty() && &kind_of(val) != &kind)
    fail(Fault::input, val.string(), ": holds ", kind_of(val).files, ", expected the same kind of data as ",
         data.string(), ", which holds ", kind.files);
  return kind.open(data, val);
}

}  // namespace shear
