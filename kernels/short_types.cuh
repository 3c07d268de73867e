// f16 and bf16 as they are stored; arithmetic is in f32.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace shear::cuda {

__device__ __forceinline__ float widened(float x) { return x; }
__device__ __forceinline__ float widened(__half x) { return __half2float(x); }
__device__ __forceinline__ float widened(__nv_bfloat16 x) { return __bfloat162float(x); }

// Rounded to the nearest, ties to even.
template <class To>
__device__ __forceinline__ To narrowed(float x);
template <>
__device__ __forceinline__ float narrowed<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ __half narrowed<__half>(float x) {
  return __float2half_rn(x);
}
template <>
__device__ __forceinline__ __nv_bfloat16 narrowed<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}

// As it sleeps: what lies beyond the largest f16 becomes that, nan stays nan.
template <class T>
__device__ __forceinline__ T asleep(float v);
template <>
__device__ __forceinline__ float asleep<float>(float v) {
  return v;
}
template <>
__device__ __forceinline__ __nv_bfloat16 asleep<__nv_bfloat16>(float v) {
  return narrowed<__nv_bfloat16>(v);
}
template <>
__device__ __forceinline__ __half asleep<__half>(float v) {
  constexpr float largest = 65504;
  return narrowed<__half>(v > largest ? largest : v < -largest ? -largest : v);
}

// How a kernel takes a number of its input: as it is, or under Precision::bf16 rounded.
struct AsItIs {
  __device__ __forceinline__ float operator()(float x) const { return x; }
};
struct Rounded {
  __device__ __forceinline__ float operator()(float x) const { return widened(narrowed<__nv_bfloat16>(x)); }
};

}  // namespace shear::cuda
