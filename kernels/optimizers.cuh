// Optimizer updates: one pass over a parameter, its gradient and its state.
//
// Bytes moved: SGD reads w, g and the velocity and writes w and the velocity, 20; AdamW has two states, 28.  That is
// the least, and counted.  Columns that are left alone are not touched; their neighbours in a sector may be.
#pragma once
#include <cuda_runtime.h>

#include "shear/kernels/arguments.h"

namespace shear::cuda {

namespace {

constexpr int threads = 256;

__device__ __forceinline__ void update(const SgdStep& s, float* w, const float* g, float* velocity, int64_t i) {
  const float before = w[i], d = g[i] * s.gradient_scale + s.weight_decay * before;
  const float v = s.momentum * velocity[i] + d;
  velocity[i] = v;
  w[i] = before - s.lr * (s.nesterov ? d + s.momentum * v : v);
}

struct AdamWFactors {
  AdamWStep step;
  float rate, root;  // lr / correction1, 1 / sqrt(correction2)
};

__device__ __forceinline__ void update(const AdamWFactors& f, float* w, const float* g, float* first, float* second,
                                       int64_t i) {
  const AdamWStep& s = f.step;
  const float d = g[i] * s.gradient_scale;
  const float m = s.beta1 * first[i] + (1.f - s.beta1) * d, v = s.beta2 * second[i] + (1.f - s.beta2) * d * d;
  first[i] = m;
  second[i] = v;
  const float decayed = w[i] - s.lr * s.weight_decay * w[i];
  w[i] = decayed - f.rate * m / (sqrtf(v) * f.root + s.epsilon);
}

// State...: one array (velocity) or two (moments).  active: a float per column, or null.
template <class Step, class... State>
__global__ void __launch_bounds__(threads)
    update_kernel(Step step, int64_t n, int64_t cols, const float* active, float* w, const float* g, State... state) {
  for (int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x; i < n; i += int64_t{gridDim.x} * threads)
    if (!active || active[i % cols] != 0) update(step, w, g, state..., i);
}

}  // namespace

}  // namespace shear::cuda
