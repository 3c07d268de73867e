// LayerNorm, launched: forward a warp to a row, backward a block to a stretch of rows.
#include <algorithm>

#include "backends/cuda/column_sums.h"
#include "backends/cuda/cuda_backend.h"
#include "kernels/layernorm.cuh"

namespace shear::cuda {

namespace {

unsigned row_blocks(int64_t rows) { return static_cast<unsigned>((rows + warps - 1) / warps); }

}  // namespace

void CudaBackend::layernorm(ConstView x, ConstView gamma, ConstView beta, float epsilon, View y, View mean, View rstd) {
  const auto run = [&](auto taken) {
    launch(layernorm_kernel<decltype(taken)>, row_blocks(x.rows), warps * 32, 0, on("layernorm"), taken, x.rows, x.cols,
           x.row(0), x.stride, gamma.row(0), beta.row(0), epsilon, y.row(0), y.stride, mean.row(0), rstd.row(0));
  };
  precision_ == Precision::bf16 ? run(Rounded{}) : run(AsItIs{});
}

void CudaBackend::layernorm_apply(ConstView x, ConstView mean, ConstView rstd, ConstView gamma, ConstView beta,
                                  View y) {
  launch(layernorm_apply_kernel, row_blocks(x.rows), warps * 32, 0, on("layernorm_apply"), x.rows, x.cols, x.row(0),
         x.stride, mean.row(0), rstd.row(0), gamma.row(0), beta.row(0), y.row(0), y.stride);
}

void CudaBackend::layernorm_standardise(ConstView x, ConstView mean, ConstView rstd, View y) {
  launch(layernorm_standardise_kernel<false>, row_blocks(x.rows), warps * 32, 0, on("layernorm_standardise"), x.rows,
         x.cols, x.row(0), x.stride, mean.row(0), rstd.row(0), y.row(0), y.stride);
}

void CudaBackend::layernorm_unstandardise(ConstView y, ConstView mean, ConstView rstd, View x) {
  launch(layernorm_standardise_kernel<true>, row_blocks(x.rows), warps * 32, 0, on("layernorm_unstandardise"), x.rows,
         x.cols, y.row(0), y.stride, mean.row(0), rstd.row(0), x.row(0), x.stride);
}

int64_t CudaBackend::layernorm_scratch(int64_t cols) const { return partitions * 2 * cols; }

void CudaBackend::layernorm_grad(ConstView x, ConstView mean, ConstView rstd, ConstView gamma, ConstView dy,
                                 float beta_dx, View dx, float beta_params, View dgamma, View dbeta, View scratch) {
  const bool wants_params = dgamma.data != nullptr || dbeta.data != nullptr;
  const size_t sums = static_cast<size_t>(2 * x.cols) * sizeof(float);
  const bool wide = wants_params && sums > 40 * 1024;
  const int64_t parts = std::min(x.rows, partitions);
  const On here = on("layernorm_grad");
  launch(layernorm_grad_kernel, static_cast<unsigned>(parts), threads, wants_params && !wide ? sums : 0, here, x.rows,
         x.cols, wide, x.row(0), x.stride, mean.row(0), rstd.row(0), gamma.row(0), dy.row(0), dy.stride, beta_dx,
         dx.row(0), dx.stride, wants_params ? scratch.row(0) : nullptr);
  const auto gather = [&](View out, int64_t offset) {
    if (out.data)
      add_up_columns(here, AsIs{}, {scratch.row(0) + offset, parts, x.cols, 2 * x.cols}, beta_params, out,
                     partial<float>(), partial_room<float>());
  };
  gather(dgamma, 0);
  gather(dbeta, x.cols);
}

}  // namespace shear::cuda
