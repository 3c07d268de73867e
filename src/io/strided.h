// The elements of a strided array in row-major order.
#pragma once
#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "shear/shape.h"

namespace shear {

// `first` holds the array's first element, of `item` bytes each, and all that its strides (in elements, none below
// zero) lead to: the caller's to check.
inline std::vector<std::byte> in_row_major(std::span<const std::byte> first, const Shape& shape,
                                           std::span<const int64_t> strides, size_t item) {
  std::vector<std::byte> out(static_cast<size_t>(shape.elements()) * item);
  std::array<int64_t, Shape::max_rank> at{};
  uint64_t from = 0;
  for (size_t to = 0; to < out.size(); to += item) {
    std::memcpy(out.data() + to, first.data() + static_cast<size_t>(from) * item, item);
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {  // the next place
      const auto a = static_cast<size_t>(axis);
      const auto stride = static_cast<uint64_t>(strides[a]);
      from += stride;
      if (++at[a] < shape[axis]) break;
      from -= stride * static_cast<uint64_t>(shape[axis]);
      at[a] = 0;
    }
  }
  return out;
}

}  // namespace shear
