// Putting matrices to sleep, and waking them a band at a time: which kernels do it, and those for whole rows.
//
// Bytes moved by `pack_rows_kernel` and `unpack_rows_kernel`: 4 an element and its 4 or 2 asleep, which is the least
// and counted: 6 in f16.  With every other column chosen at least 8.01, counted 16: the row that they are gathered from
// is read by sectors, and its index from the cache.
#pragma once
#include "kernels/short_types.cuh"
#include "kernels/source.cuh"
#include "kernels/warp_rows.cuh"

namespace shear::cuda {

namespace {

// to[r, c] = the source there; a warp takes a row.
template <class T>
__global__ void __launch_bounds__(pack_threads) pack_rows_kernel(Source source, int64_t rows, int64_t cols, T* to) {
  const int64_t r = row_of_warp();
  if (r >= rows) return;
  const SourceRow row = source.row(r);
  for (int64_t c = threadIdx.x % 32; c < cols; c += 32) to[r * cols + c] = asleep<T>(row.at(c));
}

template <class T>
__global__ void __launch_bounds__(pack_threads)
    unpack_rows_kernel(const T* from, int64_t rows, int64_t cols, float* out, int64_t stride) {
  const int64_t r = row_of_warp();
  if (r >= rows) return;
  for (int64_t c = threadIdx.x % 32; c < cols; c += 32) out[r * stride + c] = widened(from[r * cols + c]);
}

}  // namespace

}  // namespace shear::cuda
