// Stands where NVIDIA's cuda_fp16.h does: f16 as storage, converted to and from f32.
#pragma once
#include "cuda_device.h"

struct __half {
  unsigned short x;
};
struct alignas(4) __half2 {
  __half x, y;
};
using half = __half;
using half2 = __half2;

inline float __half2float(__half h) {
  const unsigned sign = (h.x & 0x8000u) << 16, exponent = h.x >> 10 & 31, fraction = h.x & 1023u;
  if (exponent == 0) {
    const float tiny = std::ldexp(static_cast<float>(fraction), -24);
    return sign ? -tiny : tiny;
  }
  const unsigned wide = exponent == 31 ? 0x7f800000u : (exponent + 112) << 23;
  return __uint_as_float(sign | wide | fraction << 13);
}
inline __half __float2half(float f) {  // to the nearest, ties to even; past the largest an infinity
  const unsigned sign = __float_as_uint(f) >> 16 & 0x8000u;
  const float size = std::fabs(f);
  unsigned bits;
  if (f != f) return {0x7fff};
  if (size >= 65520.0f) {
    bits = 0x7c00;
  } else if (size < 6.103515625e-05f) {  // the smallest normal number
    bits = static_cast<unsigned>(std::nearbyint(std::ldexp(size, 24)));
  } else {
    const unsigned wide = __float_as_uint(size);
    bits = ((wide + 0xfff + (wide >> 13 & 1)) >> 13) - (112u << 10);
  }
  return {static_cast<unsigned short>(sign | bits)};
}
inline __half __float2half_rn(float f) { return __float2half(f); }
inline unsigned short __half_as_ushort(__half h) { return h.x; }
inline __half __ushort_as_half(unsigned short bits) { return {bits}; }
inline __half2 __floats2half2_rn(float x, float y) { return {__float2half(x), __float2half(y)}; }
inline __half2 __float22half2_rn(float2 v) { return __floats2half2_rn(v.x, v.y); }
inline float2 __half22float2(__half2 v) { return {__half2float(v.x), __half2float(v.y)}; }
