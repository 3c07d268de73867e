// GELU, in its forms, and SiLU, and their derivatives at one value.
#pragma once
#include <cuda_runtime.h>

namespace shear::cuda {

constexpr float inverse_sqrt_2 = 0.7071067812f, inverse_sqrt_2pi = 0.3989422804f;
constexpr float quick_factor = 1.702f;
constexpr float tanh_inner = 0.7978845608f, tanh_cubic = 0.044715f;  // sqrt(2 / pi)

// Phi(x), with full relative accuracy in the lower tail.
__device__ __forceinline__ float normal_cdf(float x) { return 0.5f * erfcf(-x * inverse_sqrt_2); }

__device__ __forceinline__ float gelu_exact(float x) { return x * normal_cdf(x); }

__device__ __forceinline__ float gelu_tanh(float x) {
  return 0.5f * x * (1.f + tanhf(tanh_inner * (x + tanh_cubic * x * x * x)));
}

// Phi(x) + x * phi(x)
__device__ __forceinline__ float gelu_slope(float x) {
  return normal_cdf(x) + x * (inverse_sqrt_2pi * expf(-0.5f * x * x));
}

// Of 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
__device__ __forceinline__ float gelu_tanh_slope(float x) {
  const float t = tanhf(tanh_inner * (x + tanh_cubic * x * x * x));
  const float inner = tanh_inner * (1.f + 3.f * tanh_cubic * x * x);
  return 0.5f * (1.f + t) + 0.5f * x * (1.f - t * t) * inner;
}

__device__ __forceinline__ float sigmoid(float x) { return 1.f / (1.f + expf(-x)); }

// Of x sigmoid(factor x)
__device__ __forceinline__ float sigmoid_gate_slope(float x, float factor) {
  const float s = sigmoid(factor * x);
  return s + factor * x * s * (1.f - s);
}

}  // namespace shear::cuda
