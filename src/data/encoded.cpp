// An encoded image, read where it is asked for.
#include "data/codec.h"

namespace shear {

Encoded::Encoded(const std::filesystem::path& path)
    : opened_(open_file(path, "an image")), size_(opened_.size), name_(path.string()) {}

Bytes Encoded::read(uint64_t at, size_t count) const {
  const size_t there = at < size_ ? static_cast<size_t>(std::min<uint64_t>(count, size_ - at)) : 0;
  std::FILE* file = opened_.file.get();
  if (!file) return all_.subspan(std::min(static_cast<size_t>(at), all_.size()), there);
  room_.resize(there);
  if (std::fseek(file, static_cast<long>(at), SEEK_SET) != 0 || std::fread(room_.data(), 1, there, file) != there)
    fail(Fault::input, name_, ": ", there, " of its ", size_, " bytes, from byte ", at, " on, cannot be read");
  return room_;
}

}  // namespace shear
