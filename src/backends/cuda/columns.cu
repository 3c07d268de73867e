// Chosen rows and columns, launched: a warp to a row.
#include "backends/cuda/column_sums.h"
#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/pack.h"
#include "kernels/columns.cuh"

namespace shear::cuda {

void CudaBackend::gather_rows(ConstView x, ConstView index, ConstView scale, View out) {
  launch(gather_rows_kernel, a_warp_a_row(out.rows), pack_threads, 0, on("gather_rows"), x.row(0), x.stride,
         index.row<int32_t>(0), scale.row(0), out.rows, out.cols, out.row(0), out.stride);
}

void CudaBackend::scatter_columns(ConstView x, ConstView index, ConstView scale, float beta, View out) {
  launch(scatter_columns_kernel, a_warp_a_row(out.rows), pack_threads, 0, on("scatter_columns"), x.row(0), x.stride,
         x.cols, index.row<int32_t>(0), scale.row(0), beta, out.rows, out.cols, out.row(0), out.stride);
}

void CudaBackend::column_square_sums(ConstView x, View out) {
  add_up_columns(on("column_square_sums"), Square{}, x, 0, out, partial<float>(), partial_room<float>());
}

}  // namespace shear::cuda
