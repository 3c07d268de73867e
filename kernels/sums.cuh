// Sums over columns, along rows and over everything.
//
// Bytes moved: 4 an element, each read once, which is the least, and the partial sums: at most 128 rows of them written
// and read by `column_sums` (4.13 counted for the first pass), 8 bytes for each of at most 512 blocks by the others
// (4.00, counted 4.02).  `row_dots`: 8 an element of a.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/reduce.cuh"

namespace shear::cuda {

namespace {

constexpr int threads = 256;

struct Value {
  __device__ __forceinline__ double operator()(double x) const { return x; }
};
struct Square {
  __device__ __forceinline__ double operator()(double x) const { return x * x; }
};

// out[block] = sum of f(x) over the elements that the block looks at
template <class F>
__global__ void __launch_bounds__(threads)
    sum_kernel(F f, int64_t rows, int64_t cols, const float* x, int64_t stride, double* out) {
  __shared__ double room[most_warps];
  double mine = 0;
  for (int64_t r = blockIdx.y; r < rows; r += gridDim.y)
    for (int64_t c = int64_t{blockIdx.x} * threads + threadIdx.x; c < cols; c += int64_t{gridDim.x} * threads)
      mine += f(static_cast<double>(x[r * stride + c]));
  const double sum = block_sum(mine, room);
  if (threadIdx.x == 0) out[blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

// The sum of all blocks', in the first thread.
__device__ __forceinline__ double sum_of_blocks(int64_t blocks, const double* partial, double* room) {
  double mine = 0;
  for (int64_t i = threadIdx.x; i < blocks; i += threads) mine += partial[i];
  return block_sum(mine, room);
}

__global__ void __launch_bounds__(threads)
    mean_kernel(int64_t blocks, const double* partial, double count, float* out) {
  __shared__ double room[most_warps];
  const double sum = sum_of_blocks(blocks, partial, room);
  if (threadIdx.x == 0) *out = static_cast<float>(sum / count);
}

__global__ void __launch_bounds__(threads)
    total_kernel(int64_t blocks, const double* partial, double beta, double* out) {
  __shared__ double room[most_warps];
  const double sum = sum_of_blocks(blocks, partial, room);
  if (threadIdx.x == 0) *out = beta == 0 ? sum : sum + beta * *out;
}

// out[r] = sum of a[r, c] b[r, c] + beta * out[r], a warp to a row.
__global__ void __launch_bounds__(threads) row_dots_kernel(int64_t rows, int64_t cols, const float* a, int64_t a_stride,
                                                           const float* b, int64_t b_stride, float beta, float* out) {
  const int64_t r = int64_t{blockIdx.x} * (threads / 32) + threadIdx.x / 32;
  if (r >= rows) return;  // the whole warp
  double mine = 0;
  for (int64_t c = threadIdx.x % 32; c < cols; c += 32)
    mine += static_cast<double>(a[r * a_stride + c]) * static_cast<double>(b[r * b_stride + c]);
  const float sum = static_cast<float>(warp_reduce(mine, Add<double>{}));
  if (threadIdx.x % 32 == 0) out[r] = beta == 0 ? sum : fmaf(beta, out[r], sum);
}

}  // namespace

}  // namespace shear::cuda
