// Optimizer updates: one pass over a parameter, its gradient and its state.
//
// Bytes moved: SGD reads w, g and the velocity and writes w and the velocity, 20; AdamW has two states, 28; with state
// in codes it is 14.04 and 16.07.  That is the least, and counted; but each warp reads the scale of its codes, which
// counts 15.13 and 18.25.  Weights in 16 bits are 4 less, in 24 bits 2.  Columns that are left alone are not touched;
// their neighbours in a sector may be.
#pragma once
#include <cuda_runtime.h>

#include <limits>

#include "kernels/reduce.cuh"
#include "kernels/short_weights.cuh"
#include "shear/kernels/arguments.h"

namespace shear::cuda {

namespace {

constexpr int threads = 256;

// Each moves a weight `w`, by its gradient `g` and its state.
__device__ __forceinline__ void update(const SgdStep& s, float& w, float g, float& velocity) {
  const float d = g * s.gradient_scale + s.weight_decay * w;
  const float v = s.momentum * velocity + d;
  velocity = v;
  w = w - s.lr * (s.nesterov ? d + s.momentum * v : v);
}

struct AdamWFactors {
  AdamWStep step;
  float rate, root;  // lr / correction1, 1 / sqrt(correction2)
};

__device__ __forceinline__ void update(const AdamWFactors& f, float& w, float g, float& first, float& second) {
  const AdamWStep& s = f.step;
  const float d = g * s.gradient_scale;
  const float m = s.beta1 * first + (1.f - s.beta1) * d, v = s.beta2 * second + (1.f - s.beta2) * d * d;
  first = m;
  second = v;
  const float decayed = w - s.lr * s.weight_decay * w;
  w = decayed - f.rate * m / (sqrtf(v) * f.root + s.epsilon);
}

// Weights: see short_weights.cuh.  State...: one array (velocity) or two (moments).  active: a float per column, or
// null.
template <class Step, class Weights, class... State>
__global__ void __launch_bounds__(threads)
    update_kernel(Step step, int64_t n, int64_t cols, const float* active, Weights w, const float* g, State... state) {
  for (int64_t i = int64_t{blockIdx.x} * threads + threadIdx.x; i < n; i += int64_t{gridDim.x} * threads)
    if (!active || active[i % cols] != 0) {
      float weight = w[i];
      update(step, weight, g[i], state[i]...);
      w.put(i, weight);
    }
}

// -- State in codes ---------------------------------------------------------------------------------------------------
// A block of threads to a block of values, each thread one of them.

static_assert(state_block == threads);

struct Range {
  float scale, inverse;
};
__device__ __forceinline__ Range range_of_block(float v, float* room) {
  const float top = block_max(fabsf(v), room);
  return top >= std::numeric_limits<float>::min() ? Range{top, 1.f / top} : Range{0.f, 0.f};
}

__device__ __forceinline__ float decode_signed(uint8_t code, float scale) {
  const float k = static_cast<float>(code) - 127.f;
  return k * fabsf(k) * (scale / (127.f * 127.f));
}
__device__ __forceinline__ uint8_t encode_signed(float v, float inverse) {
  return static_cast<uint8_t>(127.5f + copysignf(sqrtf(fabsf(v) * inverse) * 127.f, v));
}

__device__ __forceinline__ float decode_unsigned(uint8_t code, float scale) {
  const float k = static_cast<float>(code) / 255.f, square = k * k;
  return square * square * scale;
}
__device__ __forceinline__ uint8_t encode_unsigned(float v, float inverse, float chance) {
  const float share = v * inverse;
  float k = fminf(truncf(sqrtf(sqrtf(share)) * 255.f), 254.f);
  const float low = k / 255.f, high = (k + 1.f) / 255.f;
  const float below = low * low * low * low, above = high * high * high * high;
  if (chance * (above - below) < share - below) k += 1.f;
  return static_cast<uint8_t>(share > 0.f ? fmaxf(k, 1.f) : 0.f);
}

template <class Weights>
__global__ void __launch_bounds__(threads) sgd_coded_kernel(SgdStep step, int64_t n, int64_t cols, const float* active,
                                                            Weights w, const float* g, uint8_t* codes, float* scales) {
  __shared__ float room[most_warps];
  for (int64_t block = blockIdx.x; block * threads < n; block += gridDim.x) {
    const int64_t i = block * threads + threadIdx.x;
    float v = i < n ? decode_signed(codes[i], scales[block]) : 0.f;
    if (i < n && (!active || active[i % cols] != 0)) {
      float weight = w[i];
      update(step, weight, g[i], v);
      w.put(i, weight);
    }
    const Range range = range_of_block(v, room);  // all have read the scale
    if (i < n) codes[i] = encode_signed(v, range.inverse);
    if (threadIdx.x == 0) scales[block] = range.scale;
  }
}

template <class Weights>
__global__ void __launch_bounds__(threads)
    adamw_coded_kernel(AdamWFactors step, StreamKey rounding, int64_t n, int64_t cols, const float* active, Weights w,
                       const float* g, uint8_t* first, float* first_scales, uint8_t* second, float* second_scales) {
  __shared__ float room[most_warps];
  for (int64_t block = blockIdx.x; block * threads < n; block += gridDim.x) {
    const int64_t i = block * threads + threadIdx.x;
    float m = 0, v = 0;
    if (i < n) {
      m = decode_signed(first[i], first_scales[block]);
      v = decode_unsigned(second[i], second_scales[block]);
      if (!active || active[i % cols] != 0) {
        float weight = w[i];
        update(step, weight, g[i], m, v);
        w.put(i, weight);
      }
    }
    const Range of_m = range_of_block(m, room), of_v = range_of_block(v, room);
    if (i < n) {
      first[i] = encode_signed(m, of_m.inverse);
      second[i] = encode_unsigned(v, of_v.inverse, (static_cast<float>(random_bits(rounding, i)) + 0.5f) * 0x1p-16f);
    }
    if (threadIdx.x == 0) first_scales[block] = of_m.scale, second_scales[block] = of_v.scale;
  }
}

}  // namespace

}  // namespace shear::cuda
