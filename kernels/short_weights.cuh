// How an update reads weights and writes them, see WeightView.
#pragma once
#include <cuda_runtime.h>

#include "kernels/random_bits.cuh"
#include "shear/packed.h"

namespace shear::cuda {

namespace {

// As they are,
struct WholeWeights {
  float* value;
  __device__ __forceinline__ float operator[](int64_t i) const { return value[i]; }
  __device__ __forceinline__ void put(int64_t i, float x) const { value[i] = x; }
};
// in bf16, or in 24 bits, rounded at random.
struct ShortWeights {
  uint16_t* value;
  StreamKey rounding;
  __device__ __forceinline__ float operator[](int64_t i) const { return joined_weight(value[i]); }
  __device__ __forceinline__ void put(int64_t i, float x) const {
    value[i] = short_weight(x, random_bits(rounding, i));
  }
};
struct SplitWeights {
  uint16_t* value;
  uint8_t* fine;
  StreamKey rounding;
  __device__ __forceinline__ float operator[](int64_t i) const { return joined_weight(value[i], fine[i]); }
  __device__ __forceinline__ void put(int64_t i, float x) const {
    const SplitWeight w = split_weight(x, random_bits(rounding, i) >> 8);
    value[i] = w.coarse;
    fine[i] = w.fine;
  }
};

}  // namespace

}  // namespace shear::cuda
