// Means over the tokens of sequences, launched: columns along x.
#include <algorithm>

#include "backends/cuda/cuda_backend.h"
#include "kernels/tokens.cuh"

namespace shear::cuda {

namespace {

dim3 grid_of(int64_t rows, int64_t cols) {
  constexpr int64_t most_rows = 65535;  // along y, as the hardware has it
  return {static_cast<unsigned>((cols + threads - 1) / threads), static_cast<unsigned>(std::min(rows, most_rows))};
}

}  // namespace

void CudaBackend::mean_tokens(ConstView x, int64_t tokens, int64_t first, View out) {
  launch(mean_tokens_kernel, grid_of(out.rows, out.cols), threads, 0, on("mean_tokens"), out.rows, out.cols, tokens,
         first, x.row(0), x.stride, 1.f / static_cast<float>(tokens - first), out.row(0), out.stride);
}

void CudaBackend::mean_tokens_grad(ConstView dy, int64_t tokens, int64_t first, float beta, View dx) {
  launch(mean_tokens_grad_kernel, grid_of(dx.rows, dx.cols), threads, 0, on("mean_tokens_grad"), dx.rows, dx.cols,
         tokens, first, dy.row(0), dy.stride, 1.f / static_cast<float>(tokens - first), beta, dx.row(0), dx.stride);
}

}  // namespace shear::cuda
