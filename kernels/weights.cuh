// Weights that sleep in fewer bits than f32, see WeightView: bf16, and maybe eight bits more.
//
// Bytes moved: waking one reads 2 or 3 and writes 4.
#pragma once
#include <cuda_runtime.h>

#include "shear/packed.h"

namespace shear::cuda {

namespace {

constexpr int wake_threads = 256;

// fine: or null.
__global__ void __launch_bounds__(wake_threads)
    wake_weights_kernel(int64_t n, const uint16_t* value, const uint8_t* fine, float* out) {
#pragma unroll 1
  for (int64_t i = int64_t{blockIdx.x} * wake_threads + threadIdx.x; i < n; i += int64_t{gridDim.x} * wake_threads)
    out[i] = fine ? joined_weight(value[i], fine[i]) : joined_weight(value[i]);
}

}  // namespace

}  // namespace shear::cuda
