// How many bytes a tensor of a file takes.
#pragma once
#include <algorithm>
#include <optional>

#include "shear/io.h"
#include "shear/shape.h"

namespace shear {

// Nothing where 64 bits cannot count them.
inline std::optional<uint64_t> bytes_of(DType dtype, const Shape& shape) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  uint64_t bytes = size_of(dtype);
  for (const int64_t d : shape)
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(d), &bytes)) return std::nullopt;
  return bytes;
}

// What is to be written, where it lies or made in `room`.
inline std::span<const std::byte> bytes_of(const TensorToWrite& t, std::vector<std::byte>& room) {
  const size_t bytes = static_cast<size_t>(t.shape.elements()) * size_of(t.dtype);
  if (t.data || !t.fill) return {static_cast<const std::byte*>(t.data), bytes};
  room.resize(bytes);
  t.fill(room);
  return room;
}

}  // namespace shear
