// A sample of the magnitudes says between which two the k-th must lie, but for a chance of one in thousands.  One pass
// counts what is above and collects what is between; the k-th of those is the k-th of all.  Where that fails, and for
// values that are hardly spread, radix passes over everything do it.
#include "backends/cpu/select.h"

#include <algorithm>
#include <cmath>

#include "backends/cpu/lanes.h"

namespace shear::cpu {

namespace {

constexpr uint32_t largest = 0x7fffffffu;

// The bucket that the k-th largest lies in; k becomes its rank in there.
uint32_t bucket_of(const uint32_t* counts, uint32_t buckets, int64_t& k) {
  uint32_t bucket = buckets - 1;
  while (bucket > 0 && static_cast<int64_t>(counts[bucket]) < k) k -= counts[bucket--];
  return bucket;
}

// Radix select over all bits: one pass counts the top 11 bits, then the values of the one bucket that the k-th lies in
// are counted by the next 10, and the next 10.
Threshold by_radix(const Block& block, int64_t kept, uint32_t* counts) {
  constexpr int shifts[] = {20, 10, 0};
  constexpr uint32_t widths[] = {2048, 1024, 1024};
  uint32_t prefix = 0, mask = 0;
  for (int pass = 0; pass < 3; ++pass) {
    std::fill_n(counts, widths[pass], 0u);
    for (int64_t r = 0; r < block.rows; ++r) {
      const float* row = block.row(r);
      for (int64_t i = 0; i < block.cols; ++i) {
        const uint32_t m = magnitude(row[i]);
        if ((m & mask) == prefix) ++counts[(m >> shifts[pass]) & (widths[pass] - 1)];
      }
    }
    prefix |= bucket_of(counts, widths[pass], kept) << shifts[pass];
    mask |= (widths[pass] - 1) << shifts[pass];
  }
  return {prefix, kept};
}

// Of n magnitudes at hand, which are not kept in order.  Each round divides their range by the number of buckets.
Threshold among(uint32_t* some, int64_t n, int64_t k, uint32_t* counts) {
  for (;;) {
    uint32_t base = some[0], high = some[0];
#pragma omp simd reduction(min : base) reduction(max : high)
    for (int64_t i = 0; i < n; ++i) {
      base = std::min(base, some[i]);
      high = std::max(high, some[i]);
    }
    const int shift = std::max(0, static_cast<int>(std::bit_width(high - base)) - 11);
    const uint32_t buckets = ((high - base) >> shift) + 1;
    std::fill_n(counts, buckets, 0u);
    for (int64_t i = 0; i < n; ++i) ++counts[(some[i] - base) >> shift];
    const uint32_t bucket = bucket_of(counts, buckets, k);
    if (shift == 0) return {base + bucket, k};
    int64_t left = 0;  // no branch: what stays is a coin's toss
    for (int64_t i = 0; i < n; ++i) {
      const uint32_t m = some[i];
      some[left] = m;
      left += (m - base) >> shift == bucket;
    }
    n = left;
  }
}

struct Bracket {
  uint32_t low, high;
};

// Where the k-th lies, from magnitudes at places of their own in equal stretches of the block: strides of one length
// would fall on few columns.
Bracket bracket(const Block& block, int64_t kept, const SelectRoom& room) {
  const int64_t n = block.elements(), most = std::min<int64_t>(room.capacity, 16384);
  const int64_t drawn = std::clamp<int64_t>(n / 64, 1024, most);
  const double stretch = static_cast<double>(n) / static_cast<double>(drawn);
  const float* row = nullptr;
  int64_t at = -1;
  for (int64_t j = 0; j < drawn; ++j) {
    const double somewhere = static_cast<double>(static_cast<uint32_t>(j) * 0x9E3779B9u) * 0x1p-32;  // in [0, 1)
    const auto i = static_cast<int64_t>((static_cast<double>(j) + somewhere) * stretch);
    if (i / block.cols != at) row = block.row(at = i / block.cols);
    room.some[j] = magnitude(row[i % block.cols]);
  }
  const double share = static_cast<double>(kept) / static_cast<double>(n), s = static_cast<double>(drawn);
  // Three and a half standard deviations to either side, or as far as there is room for.
  const double width = std::min(3.5 * std::sqrt(s * share * (1 - share)) + 2,
                                0.4 * s * static_cast<double>(room.capacity) / static_cast<double>(n));
  const int64_t below = static_cast<int64_t>(share * s + width) + 1,
                above = static_cast<int64_t>(share * s - width) - 1;
  Bracket b{0, largest};
  uint32_t* end = room.some + drawn;
  if (below < drawn) {
    std::nth_element(room.some, end - 1 - below, end);
    b.low = *(end - 1 - below);
  }
  if (above >= 0) {
    std::nth_element(below < drawn ? end - 1 - below : room.some, end - 1 - above, end);
    b.high = *(end - 1 - above);
  }
  return b;
}

struct Found {
  int64_t above = 0, from_high = 0, from_low = 0, inside = 0;  // > high, >= high, >= low, and between, which are held
};

void narrow(const float* x, int64_t n, const Bracket& b, uint32_t* some, Found& found) {
  int64_t i = 0, inside = found.inside;
#if SHEAR_LANES
  const __m256i low = _mm256_set1_epi32(static_cast<int>(b.low)), high = _mm256_set1_epi32(static_cast<int>(b.high));
  __m256i above = _mm256_setzero_si256(), below_high = above, below_low = above;
  for (; i + 8 <= n; i += 8) {
    const __m256i m = magnitudes(x + i);
    const __m256i is_below_high = _mm256_cmpgt_epi32(high, m), is_above_low = _mm256_cmpgt_epi32(m, low);
    above = _mm256_sub_epi32(above, _mm256_cmpgt_epi32(m, high));
    below_high = _mm256_sub_epi32(below_high, is_below_high);
    below_low = _mm256_sub_epi32(below_low, _mm256_cmpgt_epi32(low, m));
    const uint32_t between = bits_of_lanes(_mm256_and_si256(is_below_high, is_above_low));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(some + inside),
                        _mm256_permutevar8x32_epi32(m, lanes_of(lane_tables.together, between)));
    inside += std::popcount(between);
  }
  const auto sum = [](__m256i v) {
    alignas(32) int lanes[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), v);
    int64_t s = 0;
    for (const int lane : lanes) s += lane;
    return s;
  };
  found.above += sum(above);
  found.from_high += i - sum(below_high);
  found.from_low += i - sum(below_low);
#endif
  for (; i < n; ++i) {
    const uint32_t m = magnitude(x[i]);
    found.above += m > b.high;
    found.from_high += m >= b.high;
    found.from_low += m >= b.low;
    some[inside] = m;
    inside += m > b.low && m < b.high;
  }
  found.inside = inside;
}

}  // namespace

int64_t SelectRoom::some_of(int64_t cols) { return std::clamp<int64_t>(24 * cols, 2048, 32768) + cols; }

Threshold select(const Block& block, int64_t kept, const SelectRoom& room) {
  if (kept <= 0) return {largest, 0};
  if (block.elements() <= room.capacity) {
    for (int64_t r = 0; r < block.rows; ++r) {
      const float* row = block.row(r);
      std::transform(row, row + block.cols, room.some + r * block.cols, magnitude);
    }
    return among(room.some, block.elements(), kept, room.counts);
  }
  const Bracket b = bracket(block, kept, room);
  Found found;
  for (int64_t r = 0; r < block.rows; ++r) {
    if (found.inside + block.cols > room.capacity) return by_radix(block, kept, room.counts);
    narrow(block.row(r), block.cols, b, room.some, found);
  }
  if (kept > found.above && kept <= found.from_low) {
    if (kept <= found.from_high) return {b.high, kept - found.above};
    kept -= found.from_high;
    return kept <= found.inside ? among(room.some, found.inside, kept, room.counts)
                                : Threshold{b.low, kept - found.inside};
  }
  return by_radix(block, kept, room.counts);
}

}  // namespace shear::cpu
