// A whole file as read-only bytes.
#pragma once
#include <cstddef>
#include <filesystem>
#include <span>

namespace shear {

// Maps a regular file; throws Fault::input, naming it and the reason, where that cannot be.  The bytes follow the file:
// they are whole as long as nobody cuts it short in place, which writing through write_atomically never does.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path&);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Pages that hold some of `bytes` leave the process, where they lie in this file; who reads them again, faults them
  // in again.
  void let_go(std::span<const std::byte> bytes) const;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace shear
