// Chosen rows and columns: gathered, and put back where they came from; and how much is in each column.
//
// Bytes moved: `gather_rows_kernel` 8.04, the least, counted 8.33 with the rows' indices and scales.  With every other
// column chosen, `scatter_columns_kernel` for each element of x: read it, and write out's two, 12 (beta 0), or read one
// and write one (beta 1), with the index and scale of its column: the least is 12.02, counted 28, since a column that
// is written alone costs its sector.  `column_square_sums`: see column_sums.cuh.
#pragma once
#include "kernels/warp_rows.cuh"

namespace shear::cuda {

namespace {

// out[r] = scale[r] * x[index[r]]; a warp takes a row.
__global__ void __launch_bounds__(pack_threads)
    gather_rows_kernel(const float* x, int64_t x_stride, const int32_t* index, const float* scale, int64_t rows,
                       int64_t cols, float* out, int64_t stride) {
  const int64_t r = row_of_warp();
  if (r >= rows) return;
  const float* const from = x + index[r] * x_stride;
  const float factor = scale[r];
  for (int64_t c = threadIdx.x % 32; c < cols; c += 32) out[r * stride + c] = factor * from[c];
}

// A warp takes a row.
__global__ void __launch_bounds__(pack_threads)
    scatter_columns_kernel(const float* x, int64_t x_stride, int64_t chosen, const int32_t* index, const float* scale,
                           float beta, int64_t rows, int64_t cols, float* out, int64_t stride) {
  const int64_t r = row_of_warp();
  if (r >= rows) return;
  const int lane = threadIdx.x % 32;
  float* const to = out + r * stride;
  if (beta == 0)
    for (int64_t c = lane; c < cols; c += 32) to[c] = 0;
  __syncwarp();
  for (int64_t c = lane; c < chosen; c += 32) {
    const float factor = scale[c];
    if (factor == 0) continue;
    float& there = to[index[c]];
    there = fmaf(factor, x[r * x_stride + c], beta == 0 ? 0.f : beta * there);
  }
}

struct Square {
  __device__ __forceinline__ float operator()(float x) const { return x * x; }
};

}  // namespace

}  // namespace shear::cuda
