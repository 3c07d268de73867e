// The numbers that values are rounded with at random: those that the CPU draws.
#pragma once
#include <cuda_runtime.h>

#include "shear/random.h"

namespace shear::cuda {

namespace {

// 16 bits for value i: of 64 values, eight draws.
__device__ __forceinline__ uint32_t random_bits(const StreamKey& rounding, int64_t i) {
  const int at = static_cast<int>(i % 64);
  const uint32_t word = rounding.four(static_cast<uint32_t>(i / 64 * 8 + at % 8))[at / 16];
  return at % 16 < 8 ? word & 0xffff : word >> 16;
}

}  // namespace

}  // namespace shear::cuda
