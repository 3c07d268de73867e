// What the tests of training share: a small data set that can be learnt, and how files are read back.
#pragma once
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "shear/random.h"
#include "temp_dir.h"

namespace shear::test {

inline void put_below(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::create_directories(path.parent_path());
  put(path, bytes);
}

inline std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

inline std::string big_endian(uint32_t v) {
  return {static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8), static_cast<char>(v)};
}

// One part of an IDX data set: grey noise, with a bright row or column that tells the class.
inline void write_idx_part(const std::filesystem::path& dir, const std::string& part, uint32_t count, uint32_t side,
                           uint32_t classes, uint64_t seed) {
  std::string images = big_endian(0x803) + big_endian(count) + big_endian(side) + big_endian(side);
  std::string labels = big_endian(0x801) + big_endian(count);
  Stream stream(seed, Purpose::test);
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t label = i % classes;
    labels += static_cast<char>(label);
    for (uint32_t y = 0; y < side; ++y)
      for (uint32_t x = 0; x < side; ++x)
        images += static_cast<char>((y == label || x + side == label ? 180 : 0) + stream.below(60));
  }
  put_below(dir / (part + "-images-idx3-ubyte"), images);
  put_below(dir / (part + "-labels-idx1-ubyte"), labels);
}

// Ten classes.
inline void write_idx(const std::filesystem::path& dir, uint32_t train = 80, uint32_t val = 30) {
  write_idx_part(dir, "train", train, 8, 10, 1);
  if (val > 0) write_idx_part(dir, "t10k", val, 8, 10, 2);
}

inline constexpr const char* tiny_model = "vit:image=8,patch=4,dim=16,depth=2,heads=2,channels=1";

}  // namespace shear::test
