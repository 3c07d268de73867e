// Sums and maxima over the threads of a warp and of a block, in an order fixed by their numbers alone.
//
// Every thread of the warp (block) must take part, and every one gets the result.  Blocks are whole warps.
#pragma once
#include <cuda_runtime.h>

namespace shear::cuda {

constexpr unsigned all_lanes = 0xffffffffu;
constexpr int most_warps = 32;  // of a block

template <class T>
struct Add {
  static __device__ __forceinline__ T zero() { return T(0); }
  __device__ __forceinline__ T operator()(T a, T b) const { return a + b; }
};
struct Max {
  static __device__ __forceinline__ float zero() { return -INFINITY; }
  __device__ __forceinline__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

template <class Op, class T>
__device__ __forceinline__ T warp_reduce(T v, Op op) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) v = op(v, __shfl_xor_sync(all_lanes, v, offset));
  return v;
}

// room: most_warps elements of shared memory, free to be used again once the call returns.
template <class Op, class T>
__device__ __forceinline__ T block_reduce(T v, T* room, Op op) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  v = warp_reduce(v, op);
  if (lane == 0) room[warp] = v;
  __syncthreads();
  v = warp_reduce(lane < warps ? room[lane] : Op::zero(), op);
  __syncthreads();
  return v;
}

__device__ __forceinline__ float warp_sum(float v) { return warp_reduce(v, Add<float>{}); }
__device__ __forceinline__ float warp_max(float v) { return warp_reduce(v, Max{}); }
template <class T>
__device__ __forceinline__ T block_sum(T v, T* room) {
  return block_reduce(v, room, Add<T>{});
}
__device__ __forceinline__ float block_max(float v, float* room) { return block_reduce(v, room, Max{}); }

}  // namespace shear::cuda
