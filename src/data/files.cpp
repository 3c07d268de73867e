// What the data layer asks of the file system.
#include "data/files.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

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

std::vector<uint8_t> read_bytes(const fs::path& path, const char* expected, uint64_t most) {
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rb"));
  if (!file) fail(Fault::input, path.string(), ": cannot be opened (", std::strerror(errno), "), expected ", expected);
  std::error_code error;  // a folder can be opened, but has no size
  const uint64_t claimed = fs::file_size(path, error);
  if (error) fail(Fault::input, path.string(), ": has no size (", error.message(), "), expected a regular file");
  if (claimed > most)
    fail(Fault::input, path.string(), ": holds ", claimed, " bytes, expected ", expected, " of at most ", most);
  std::vector<uint8_t> bytes(claimed);
  const size_t got = std::fread(bytes.data(), 1, bytes.size(), file.get());
  if (got != bytes.size())
    fail(Fault::input, path.string(), ": only ", got, " of its ", claimed, " bytes could be read");
  return bytes;
}

}  // namespace shear
