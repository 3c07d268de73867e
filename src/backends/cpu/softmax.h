// The softmax of one row.
#pragma once
#include <cmath>

#include "backends/cpu/vector_math.h"

namespace shear::cpu {

// s = softmax(scale * s) in place; its log-sum-exp.
inline float softmax_row(float* s, int64_t n, float scale) {
  float max = s[0];
#pragma omp simd reduction(max : max)
  for (int64_t c = 0; c < n; ++c) max = s[c] > max ? s[c] : max;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < n; ++c) {
    s[c] = exp(scale * (s[c] - max));
    sum += s[c];
  }
  const float inverse = 1.f / sum;
#pragma omp simd
  for (int64_t c = 0; c < n; ++c) s[c] *= inverse;
  return scale * max + std::log(sum);
}

}  // namespace shear::cpu
