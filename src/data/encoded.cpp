// An encoded image, read where it is asked for.
#include "data/codec.h"

namespace shear {

Encoded::Encoded(const std::filesystem::path& path) {
  file_.emplace(path, "an image");
  size_ = file_->size();
}

Bytes Encoded::read(uint64_t at, size_t count) const {
  const size_t there = at < size_ ? static_cast<size_t>(std::min<uint64_t>(count, size_ - at)) : 0;
  if (!file_) return all_.subspan(std::min(static_cast<size_t>(at), all_.size()), there);
  room_.resize(there);
  file_->read_at(at, room_);
  return room_;
}

}  // namespace shear
