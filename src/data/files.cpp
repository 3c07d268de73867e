// What the data layer asks of the file system.
#include "data/files.h"

#include <cerrno>
#include <cstring>

#include "shear/error.h"

namespace shear {

namespace fs = std::filesystem;

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

std::vector<fs::directory_entry> list_folder(const fs::path& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code error;
  fs::directory_iterator at(folder, error);
  for (; !error && at != fs::directory_iterator(); at.increment(error)) entries.push_back(*at);
  if (error) fail(Fault::input, folder.string(), ": cannot be listed (", error.message(), ")");
  return entries;
}

OpenFile open_file(const fs::path& path, const char* expected, uint64_t most) {
  OpenFile opened{std::unique_ptr<std::FILE, CloseFile>(std::fopen(path.c_str(), "rb"))};
  if (!opened.file)
    fail(Fault::input, path.string(), ": cannot be opened (", std::strerror(errno), "), expected ", expected);
  std::error_code error;  // a folder can be opened, but has no size
  opened.size = fs::file_size(path, error);
  if (error) fail(Fault::input, path.string(), ": has no size (", error.message(), "), expected a regular file");
  if (opened.size > most)
    fail(Fault::input, path.string(), ": holds ", opened.size, " bytes, expected ", expected, " of at most ", most);
  return opened;
}

std::vector<uint8_t> read_bytes(const fs::path& path, const char* expected, uint64_t most) {
  const OpenFile opened = open_file(path, expected, most);
  std::vector<uint8_t> bytes(opened.size);
  const size_t got = std::fread(bytes.data(), 1, bytes.size(), opened.file.get());
  if (got != bytes.size())
    fail(Fault::input, path.string(), ": only ", got, " of its ", opened.size, " bytes could be read");
  return bytes;
}

}  // namespace shear
