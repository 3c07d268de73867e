// A row and the few of its values that are kept: a set bit for each, and the values one after another.
#pragma once
#include <algorithm>
#include <bit>
#include <cstring>

#include "backends/cpu/lanes.h"
#include "backends/cpu/select.h"
#include "backends/cpu/short_types.h"

namespace shear::cpu {

inline void put(float* to, float v) { *to = v; }
inline void put(uint16_t* to, float v) { to_f16(&v, 1, to); }
inline float get(const float* from) { return *from; }
inline float get(const uint16_t* from) {
  float v;
  from_f16(from, 1, &v);
  return v;
}

// Which of at most 32 values are kept; takes those of its ties from the threshold.
inline uint32_t kept_bits(const float* x, int64_t n, Threshold& cut) {
  uint32_t above = 0, equal = 0;
#if SHEAR_LANES
  if (n == 32) {
    const __m256i value = _mm256_set1_epi32(static_cast<int>(cut.value));
    for (int g = 0; g < 4; ++g) {
      const __m256i m = magnitudes(x + 8 * g);
      above |= bits_of_lanes(_mm256_cmpgt_epi32(m, value)) << 8 * g;
      equal |= bits_of_lanes(_mm256_cmpeq_epi32(m, value)) << 8 * g;
    }
    n = 0;
  }
#endif
  for (int64_t i = 0; i < n; ++i) {
    above |= static_cast<uint32_t>(magnitude(x[i]) > cut.value) << i;
    equal |= static_cast<uint32_t>(magnitude(x[i]) == cut.value) << i;
  }
  if (equal == 0 || cut.ties == 0) return above;
  while (std::popcount(equal) > cut.ties) equal &= ~std::bit_floor(equal);  // the lowest come first
  cut.ties -= std::popcount(equal);
  return above | equal;
}

// Writes the bits of a row of n and its kept values from `to`, which must not be written from `end` on; returns where
// the next value goes.
template <class T>
T* compress_row(const float* x, int64_t n, Threshold& cut, uint32_t* bits, T* to, [[maybe_unused]] const T* end) {
  for (int64_t i = 0; i < n; i += 32, x += 32) {
    uint32_t word = kept_bits(x, std::min<int64_t>(32, n - i), cut);
    *bits++ = word;
    const float* from = x;
#if SHEAR_LANES
    if (n - i >= 32 && end - to >= 32) {
      for (int g = 0; g < 4; ++g, word >>= 8, from += 8) {
        const uint32_t m = word & 255;
        store8(to, _mm256_permutevar8x32_ps(_mm256_loadu_ps(from), lanes_of(lane_tables.together, m)));
        to += std::popcount(m);
      }
      continue;
    }
#endif
    for (; word != 0; word &= word - 1) put(to++, from[std::countr_zero(word)]);
  }
  return to;
}

// The row again, with zeros where nothing was kept; `from` is not read from `end` on.
template <class T>
const T* expand_row(const uint32_t* bits, int64_t n, const T* from, [[maybe_unused]] const T* end, float* out) {
  for (int64_t i = 0; i < n; i += 32, out += 32) {
    uint32_t word = *bits++;
#if SHEAR_LANES
    if (n - i >= 32 && end - from >= 32) {
      const __m256i lane_bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
      for (int g = 0; g < 4; ++g, word >>= 8) {
        const uint32_t m = word & 255;
        const __m256i set = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(m)), lane_bits);
        const __m256 v = _mm256_permutevar8x32_ps(load8(from), lanes_of(lane_tables.apart, m));
        _mm256_storeu_ps(out + 8 * g, _mm256_and_ps(v, _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, lane_bits))));
        from += std::popcount(m);
      }
      continue;
    }
#endif
    std::memset(out, 0, static_cast<size_t>(std::min<int64_t>(32, n - i)) * sizeof(float));
    for (; word != 0; word &= word - 1) out[std::countr_zero(word)] = get(from++);
  }
  return from;
}

}  // namespace shear::cpu
