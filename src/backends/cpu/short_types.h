// f16 and bf16 to and from f32, a row at a time.
#pragma once
#include <bit>
#include <cstdint>
#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace shear::cpu {

inline constexpr float largest_f16 = 65504;

#if defined(__F16C__)
inline void store8(uint16_t* to, __m256 v) {
  const __m256 high = _mm256_set1_ps(largest_f16), low = _mm256_set1_ps(-largest_f16);
  v = _mm256_min_ps(high, _mm256_max_ps(low, v));  // of nan the second
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
#endif

// What lies beyond the largest f16 becomes that: an infinity in backward would meet a zero and be nan.  Nan stays nan.
inline void to_f16(const float* x, int64_t n, uint16_t* y) {
  int64_t i = 0;
#if defined(__F16C__)
  for (; i + 8 <= n; i += 8) store8(y + i, _mm256_loadu_ps(x + i));
#endif
  for (; i < n; ++i) {
    const float v = x[i] > largest_f16 ? largest_f16 : x[i] < -largest_f16 ? -largest_f16 : x[i];
    y[i] = std::bit_cast<uint16_t>(static_cast<_Float16>(v));
  }
}

inline void from_f16(const uint16_t* x, int64_t n, float* y) {
  int64_t i = 0;
#if defined(__F16C__)
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i))));
#endif
  for (; i < n; ++i) y[i] = static_cast<float>(std::bit_cast<_Float16>(x[i]));
}

// The high half of a word is x as bf16, rounded to nearest even; nan stays nan.
inline uint32_t bf16_in_high_half(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return x == x ? bits + 0x7fffu + (bits >> 16 & 1u) : bits | 0x400000u;
}

inline float rounded_to_bf16(float x) { return std::bit_cast<float>(bf16_in_high_half(x) & 0xffff0000u); }

inline void round_to_bf16(const float* x, int64_t n, float* y) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = rounded_to_bf16(x[i]);
}

inline void to_bf16(const float* x, int64_t n, uint16_t* y) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<uint16_t>(bf16_in_high_half(x[i]) >> 16);
}

inline void from_bf16(const uint16_t* x, int64_t n, float* y) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = std::bit_cast<float>(static_cast<uint32_t>(x[i]) << 16);
}

}  // namespace shear::cpu
