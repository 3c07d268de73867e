// exp, tanh and the normal distribution, written so that loops over them become vector code.
//
// No branches, no tables, no calls.  nan stays nan.  Accuracy against f64, over the ranges that matter: exp 2e-7,
// normal_tail 4e-7, tanh 3e-7, all relative (tests/backends/cpu/cpu_test.cpp).
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

namespace shear::cpu {

inline float exp(float x) {
  constexpr float log2e = 1.44269504f, ln2_high = 0.693145752f, ln2_low = 1.42860677e-6f;
  constexpr float round = 12582912.f;  // 1.5 * 2^23: adding it rounds to an integer, which then sits in the low bits
  x = x < -87.f ? -87.f : x;           // 1.6e-38 rather than denormals; nan passes
  x = x > 88.f ? 88.f : x;
  const float shifted = x * log2e + round;
  const float n = shifted - round;
  const float r = (x - n * ln2_high) - n * ln2_low;  // |r| <= ln2 / 2
  // Taylor's coefficients: at degree 7 the remainder is below an ulp.
  float p = 1.f / 5040;
  p = p * r + 1.f / 720;
  p = p * r + 1.f / 120;
  p = p * r + 1.f / 24;
  p = p * r + 1.f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.f;
  p = p * r + 1.f;
  const uint32_t exponent = (std::bit_cast<uint32_t>(shifted) << 23) + (127u << 23);
  return p * std::bit_cast<float>(exponent);
}

// exp(-x^2 / 2), and 1 - Phi(|x|) = that times a rational function of |x| (own minimax fit, relative error 3e-8).
struct Normal {
  float bell, tail;
};
inline Normal normal(float x) {
  const float z = std::fabs(x);
  const float bell = exp(-0.5f * x * x);
  const float u = 1.f / (1.f + 0.35f * z);
  float p = -0.028987899f;
  p = p * u + 0.143186212f;
  p = p * u - 0.254052937f;
  p = p * u + 0.157226726f;
  p = p * u - 0.0217301063f;
  p = p * u + 0.10490495f;
  p = p * u + 0.119991139f;
  p = p * u + 0.139839143f;
  p = p * u + 0.139622763f;
  return {bell, bell * (p * u)};
}
inline float normal_cdf(float x, const Normal& n) { return x > 0 ? 1.f - n.tail : n.tail; }

inline float tanh(float x) {
  const float z = std::fabs(x);
  const float e = exp(-2.f * z);
  const float large = (1.f - e) / (1.f + e);
  // Near zero the quotient loses digits: x - x^3/3 + 2x^5/15 - 17x^7/315 there.
  const float s = x * x;
  const float small = z * (1.f + s * (-1.f / 3 + s * (2.f / 15 - s * (17.f / 315))));
  return std::copysign(z < 0.15f ? small : large, x);
}

}  // namespace shear::cpu
