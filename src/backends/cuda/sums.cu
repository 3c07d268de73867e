// Sums, launched in two passes.
#include <algorithm>

#include "backends/cuda/column_sums.h"
#include "backends/cuda/cuda_backend.h"
#include "kernels/sums.cuh"

namespace shear::cuda {

namespace {

constexpr int64_t most_blocks = 512;

// How many partial sums there are.
template <class F>
int64_t sum_up(On on, F f, ConstView x, double* partial) {
  if (x.contiguous()) x = {x.data, 1, x.elements(), x.elements()};
  constexpr int64_t each = 8;  // elements that a thread should have to make it worth its while
  dim3 grid = blocks_for(x.cols, threads * each, most_blocks);
  grid.y = static_cast<unsigned>(std::min(x.rows, most_blocks / std::max<int64_t>(1, grid.x)));
  launch(sum_kernel<F>, grid, threads, 0, on, f, x.rows, x.cols, x.row(0), x.stride, partial);
  return int64_t{grid.x} * grid.y;
}

}  // namespace

void CudaBackend::column_sums(ConstView x, float beta, View out) {
  add_up_columns(on("column_sums"), AsIs{}, x, beta, out, partial<float>(), partial_room<float>());
}

void CudaBackend::sum_squares(ConstView x, float beta, View sum) {
  const int64_t blocks = sum_up(on("sum_squares"), Square{}, x, partial<double>());
  launch(total_kernel, 1, threads, 0, on("sum_squares"), blocks, partial<double>(), static_cast<double>(beta),
         sum.row<double>(0));
}

void CudaBackend::row_dots(ConstView a, ConstView b, float beta, View out) {
  launch(row_dots_kernel, static_cast<unsigned>((a.rows * 32 + threads - 1) / threads), threads, 0, on("row_dots"),
         a.rows, a.cols, a.row(0), a.stride, b.row(0), b.stride, beta, out.row(0));
}

void CudaBackend::mean(ConstView x, View out) {
  const int64_t blocks = sum_up(on("mean"), Value{}, x, partial<double>());
  launch(mean_kernel, 1, threads, 0, on("mean"), blocks, partial<double>(), static_cast<double>(x.elements()),
         out.row(0));
}

}  // namespace shear::cuda
