// The derivative of GELU, in its forms, and of SiLU, for loops that become vector code.
#pragma once
#include "backends/cpu/vector_math.h"

namespace shear::cpu {

inline constexpr float inverse_sqrt_2pi = 0.3989422804f;
inline constexpr float tanh_inner = 0.7978845608f, tanh_cubic = 0.044715f;  // sqrt(2 / pi)

// Phi(x) + x * phi(x)
inline float gelu_slope(float x) {
  const Normal n = normal(x);
  return normal_cdf(x, n) + x * (inverse_sqrt_2pi * n.bell);
}

// Of 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
inline float gelu_tanh_slope(float x) {
  const float t = tanh(tanh_inner * (x + tanh_cubic * x * x * x));
  const float inner = tanh_inner * (1.f + 3.f * tanh_cubic * x * x);
  return 0.5f * (1.f + t) + 0.5f * x * (1.f - t * t) * inner;
}

// Of x sigmoid(factor x): GELU's quick form has the factor 1.702, SiLU 1.
inline constexpr float quick_factor = 1.702f;
inline float sigmoid(float x) { return 1.f / (1.f + exp(-x)); }
inline float sigmoid_gate_slope(float x, float factor) {
  const float s = sigmoid(factor * x);
  return s + factor * x * s * (1.f - s);
}

}  // namespace shear::cpu
