// What the data layer asks of the file system, with sentences for what goes wrong there.
#pragma once
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

namespace shear {

using Bytes = std::span<const uint8_t>;

bool is_file(const std::filesystem::path&);  // false, too, for what cannot be looked at

// These throw Fault::input.
std::vector<std::filesystem::directory_entry> list_folder(const std::filesystem::path&);
// A regular file of at most `most` bytes; `expected` is what it should be, such as "an image".
struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
struct OpenFile {
  std::unique_ptr<std::FILE, CloseFile> file;
  uint64_t size = 0;
};
OpenFile open_file(const std::filesystem::path&, const char* expected, uint64_t most = uint64_t{1} << 30);
// The whole of one of at most `most` bytes; `expected` is what it should be, such as "an image".
std::vector<uint8_t> read_bytes(const std::filesystem::path&, const char* expected, uint64_t most = uint64_t{1} << 30);

}  // namespace shear
