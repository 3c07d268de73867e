// The k-th largest magnitude of a block of rows: exactly, and in one pass over it where its values are spread.
#pragma once
#include <bit>
#include <cstdint>

#include "backends/cpu/source.h"

namespace shear::cpu {

// The bits of |v|, which order as the numbers do.
inline uint32_t magnitude(float v) { return std::bit_cast<uint32_t>(v) & 0x7fffffffu; }

// What is above `value` is kept, and the first `ties` of those equal to it.
struct Threshold {
  uint32_t value;
  int64_t ties;
};

struct SelectRoom {
  static constexpr int64_t buckets = 2048;
  static int64_t some_of(int64_t cols);  // how many magnitudes to hold for rows of `cols` values

  uint32_t* counts;  // `buckets`
  uint32_t* some;    // `capacity`, at least some_of(the block's columns)
  int64_t capacity;
};

Threshold select(const Block&, int64_t kept, const SelectRoom&);

}  // namespace shear::cpu
