// LayerNorm, and RMSNorm where `mean` is null: forward, the same again from kept statistics, and its gradient.
//
// Bytes moved: `layernorm_kernel` at least 8.06, counted 24.33: it looks at a row three times (mean, variance, result),
// the second and third from the cache, and so at gamma and beta.  `layernorm_apply_kernel` at least 8.06,
// counted 16.33; `layernorm_standardise_kernel` at least 8.04, counted 8.33.  `layernorm_grad_kernel` at least 12.05,
// counted 30.67, with two looks at x, dy and gamma; its sums for gamma and beta gather in shared memory and add
// `partitions` rows of 8 bytes a column, which is little where rows are many: at these 394 rows 17.25, counted 35.86.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/dynamic.cuh"
#include "kernels/reduce.cuh"
#include "kernels/short_types.cuh"
#include "shear/kernels/arguments.h"

namespace shear::cuda {

namespace {

constexpr int warps = 8;  // of a block, each with a row of its own
constexpr int threads = 256;
constexpr int64_t partitions = 256;  // of the rows, for the gradients of gamma and beta

// The one expression for a normalised value: forward and recomputation must agree to the bit, so nothing is left for
// a compiler to contract.
__device__ __forceinline__ float normalised(float x, float mean, float rstd, float gamma, float beta) {
  return fmaf((x - mean) * rstd, gamma, beta);
}

template <class Taken>
__global__ void __launch_bounds__(warps * 32)
    layernorm_kernel(Taken taken, int64_t rows, int64_t cols, const float* x, int64_t x_stride, const float* gamma,
                     const float* beta, float epsilon, float* y, int64_t y_stride, float* mean, float* rstd) {
  const int64_t r = int64_t{blockIdx.x} * warps + threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  if (r >= rows) return;  // the whole warp
  const float* row = x + r * x_stride;
  float sum = 0, squares = 0;
  if (mean)
    for (int64_t c = lane; c < cols; c += 32) sum += taken(row[c]);
  const float m = mean ? warp_sum(sum) / static_cast<float>(cols) : 0.f;
  for (int64_t c = lane; c < cols; c += 32) {  // of what is left: no cancelling
    const float left = taken(row[c]) - m;
    squares += left * left;
  }
  const float s = 1.f / sqrtf(warp_sum(squares) / static_cast<float>(cols) + epsilon);
  for (int64_t c = lane; c < cols; c += 32)
    y[r * y_stride + c] = normalised(taken(row[c]), m, s, gamma[c], beta ? beta[c] : 0.f);
  if (lane != 0) return;
  if (mean) mean[r] = m;
  rstd[r] = s;
}

__global__ void __launch_bounds__(warps * 32)
    layernorm_apply_kernel(int64_t rows, int64_t cols, const float* x, int64_t x_stride, const float* mean,
                           const float* rstd, const float* gamma, const float* beta, float* y, int64_t y_stride) {
  const int64_t r = int64_t{blockIdx.x} * warps + threadIdx.x / 32;
  if (r >= rows) return;
  const float m = mean ? mean[r] : 0.f, s = rstd[r];
  for (int64_t c = threadIdx.x % 32; c < cols; c += 32)
    y[r * y_stride + c] = normalised(x[r * x_stride + c], m, s, gamma[c], beta ? beta[c] : 0.f);
}

template <bool Back>
__global__ void __launch_bounds__(warps * 32)
    layernorm_standardise_kernel(int64_t rows, int64_t cols, const float* x, int64_t x_stride, const float* mean,
                                 const float* rstd, float* y, int64_t y_stride) {
  const int64_t r = int64_t{blockIdx.x} * warps + threadIdx.x / 32;
  if (r >= rows) return;
  const float m = mean ? mean[r] : 0.f, s = rstd[r];
  for (int64_t c = threadIdx.x % 32; c < cols; c += 32) {
    const float v = x[r * x_stride + c];
    y[r * y_stride + c] = Back ? v / s + m : (v - m) * s;
  }
}

struct Pair {
  float a, b;
};

// The sums of two values over the block, for one barrier less than two sums would take.
__device__ __forceinline__ Pair block_sums(float a, float b, float* room) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  a = warp_sum(a);
  b = warp_sum(b);
  if (lane == 0) room[warp] = a, room[most_warps + warp] = b;
  __syncthreads();
  const bool has = lane < threads / 32;
  return {warp_sum(has ? room[lane] : 0.f), warp_sum(has ? room[most_warps + lane] : 0.f)};
}

// A block takes rows blockIdx.x, blockIdx.x + gridDim.x, ...  Each thread owns every 256th column: what it adds up for
// gamma and beta is its own, in shared memory where `wide` is false, else in the block's two rows of `partial`.
__global__ void __launch_bounds__(threads)
    layernorm_grad_kernel(int64_t rows, int64_t cols, bool wide, const float* x, int64_t x_stride, const float* mean,
                          const float* rstd, const float* gamma, const float* dy, int64_t dy_stride, float beta_dx,
                          float* dx, int64_t dx_stride, float* partial) {
  __shared__ float room[2][2 * most_warps];  // one for even rows, one for odd: a barrier a row is enough
  float* const out_gamma = partial ? partial + 2 * blockIdx.x * cols : nullptr;
  float* const sum_gamma = wide ? out_gamma : reinterpret_cast<float*>(dyn_smem);
  float* const sum_beta = sum_gamma + cols;
  if (partial)
    for (int64_t c = threadIdx.x; c < cols; c += threads) sum_gamma[c] = 0, sum_beta[c] = 0;
  int turn = 0;
  for (int64_t r = blockIdx.x; r < rows; r += gridDim.x, turn ^= 1) {
    const float *row = x + r * x_stride, *up = dy + r * dy_stride;
    const float m = mean ? mean[r] : 0.f, s = rstd[r];
    float sum_g = 0, sum_gx = 0;
    for (int64_t c = threadIdx.x; c < cols; c += threads) {
      const float d = up[c], hat = (row[c] - m) * s, g = gamma[c] * d;
      if (partial) sum_gamma[c] += d * hat, sum_beta[c] += d;
      sum_g += g;
      sum_gx += g * hat;
    }
    if (!dx) continue;
    const Pair sums = block_sums(sum_g, sum_gx, room[turn]);
    const float mean_g = mean ? sums.a / static_cast<float>(cols) : 0.f, mean_gx = sums.b / static_cast<float>(cols);
    float* to = dx + r * dx_stride;
    for (int64_t c = threadIdx.x; c < cols; c += threads) {
      const float g = s * (gamma[c] * up[c] - mean_g - (row[c] - m) * s * mean_gx);
      to[c] = beta_dx == 0 ? g : g + beta_dx * to[c];
    }
  }
  if (!partial || wide) return;
  for (int64_t c = threadIdx.x; c < cols; c += threads) out_gamma[c] = sum_gamma[c], out_gamma[cols + c] = sum_beta[c];
}

}  // namespace

}  // namespace shear::cuda
