// What the fuzzer made, as the files of a folder: some readers want several, by their names.
#pragma once
#include <stdlib.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

namespace shear::fuzz {

// A folder of this process alone, gone with it.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "shear-fuzz-XXXXXX").string();
    if (!::mkdtemp(pattern.data())) std::abort();
    path_ = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

  void put(const std::string& name, std::span<const uint8_t> bytes) const {
    std::ofstream out(path_ / name, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (!out) std::abort();
  }

 private:
  std::filesystem::path path_;
};

// Pieces of what the fuzzer made: each of a length in two bytes before it, the last of all that is left.
inline std::vector<std::span<const uint8_t>> pieces(std::span<const uint8_t> data, size_t count) {
  std::vector<std::span<const uint8_t>> found;
  while (found.size() + 1 < count) {
    const size_t claimed = data.size() < 2 ? 0 : size_t{data[0]} << 8 | data[1];
    data = data.subspan(std::min<size_t>(data.size(), 2));
    const size_t size = std::min(claimed, data.size());
    found.push_back(data.first(size));
    data = data.subspan(size);
  }
  found.push_back(data);
  return found;
}

}  // namespace shear::fuzz
