// Eight floats at a time, where the chip can: the lanes under a mask moved together, and back.
#pragma once
#if defined(__AVX2__) && defined(__F16C__)
#define SHEAR_LANES 1
#include <immintrin.h>

#include <array>
#include <cstdint>

#include "backends/cpu/short_types.h"  // store8 as f16

namespace shear::cpu {

// Byte i of together[m]: which lane is the i-th whose bit is set in m.  Byte i of apart[m]: how many before lane i are.
struct LaneTables {
  std::array<uint64_t, 256> together{}, apart{};
  constexpr LaneTables() {
    for (uint32_t m = 0; m < 256; ++m) {
      uint64_t n = 0;
      for (uint64_t lane = 0; lane < 8; ++lane) {
        apart[m] |= n << (8 * lane);
        if (m >> lane & 1) together[m] |= lane << (8 * n++);
      }
    }
  }
};
inline constexpr LaneTables lane_tables;

inline __m256i lanes_of(const std::array<uint64_t, 256>& table, uint32_t mask) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(&table[mask])));
}

inline __m256i magnitudes(const float* x) {
  return _mm256_and_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)), _mm256_set1_epi32(0x7fffffff));
}

inline uint32_t bits_of_lanes(__m256i lanes) {
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(lanes)));
}

inline void store8(float* to, __m256 v) { _mm256_storeu_ps(to, v); }
inline __m256 load8(const float* from) { return _mm256_loadu_ps(from); }
inline __m256 load8(const uint16_t* from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

}  // namespace shear::cpu
#else
#define SHEAR_LANES 0
#endif
