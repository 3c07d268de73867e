// A warp to a row: who has which, and what its lanes count together.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/reduce.cuh"

namespace shear::cuda {

constexpr int pack_threads = 256, pack_warps = pack_threads / 32;

__device__ __forceinline__ int64_t row_of_warp() { return int64_t{blockIdx.x} * pack_warps + threadIdx.x / 32; }

__device__ __forceinline__ uint32_t lanes_below(int lane) { return (1u << lane) - 1; }

// The sum over the lanes up to and including this one.
__device__ __forceinline__ uint32_t sum_up_to_lane(uint32_t v) {
#pragma unroll
  for (int offset = 1; offset < 32; offset *= 2) {
    const uint32_t below = __shfl_up_sync(all_lanes, v, offset);
    if (threadIdx.x % 32 >= static_cast<unsigned>(offset)) v += below;
  }
  return v;
}

}  // namespace shear::cuda
