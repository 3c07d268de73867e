// How many bytes a tensor of a file takes.
#pragma once
#include <algorithm>
#include <optional>

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

}  // namespace shear
