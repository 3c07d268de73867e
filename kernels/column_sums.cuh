// Sums down the columns of a matrix, in two passes and no atomics: the same bits whatever runs first.
//
// First pass: blocks of 32 columns by a range of rows write a row of partial sums each.  Second: those rows are added
// in their order.  Where there are few rows there is one range, and the first pass is the last.
//
// Bytes moved: see sums.cuh.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

namespace shear::cuda {

constexpr int sum_columns = 32, sum_rows = 8;  // of a block: a warp reads 128 bytes of a row

// The sum of this thread's column over the block's 8 rows of threads, in threads of row 0.
__device__ __forceinline__ float add_thread_rows(float mine, float (*room)[sum_columns]) {
  room[threadIdx.y][threadIdx.x] = mine;
  __syncthreads();
  float sum = 0;
  if (threadIdx.y == 0)
    for (int i = 0; i < sum_rows; ++i) sum += room[i][threadIdx.x];
  return sum;
}

// out[blockIdx.y, c] = sum over the block's range of `range` rows of f(x[r, c]) + beta * out[...]
template <class F>
__global__ void __launch_bounds__(sum_columns* sum_rows)
    sum_columns_kernel(F f, int64_t rows, int64_t cols, int64_t range, const float* x, int64_t x_stride, float beta,
                       float* out, int64_t out_stride) {
  __shared__ float room[sum_rows][sum_columns];
  const int64_t c = int64_t{blockIdx.x} * sum_columns + threadIdx.x;
  const int64_t first = blockIdx.y * range, last = first + range < rows ? first + range : rows;
  float mine = 0;
  if (c < cols)
    for (int64_t r = first + threadIdx.y; r < last; r += sum_rows) mine += f(x[r * x_stride + c]);
  const float sum = add_thread_rows(mine, room);
  if (threadIdx.y != 0 || c >= cols) return;
  float& to = out[blockIdx.y * out_stride + c];
  to = beta == 0 ? sum : sum + beta * to;
}

struct AsIs {
  __device__ __forceinline__ float operator()(float x) const { return x; }
};

}  // namespace shear::cuda
