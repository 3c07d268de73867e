// Weights asleep and awake, see WeightView.
#pragma once
#include "shear/packed.h"

namespace shear::cpu {

// `fine`: null where there is bf16 alone.
inline void wake(const uint16_t* value, const uint8_t* fine, int64_t n, float* out) {
  if (fine) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) out[i] = joined_weight(value[i], fine[i]);
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) out[i] = joined_weight(value[i]);
  }
}

}  // namespace shear::cpu
