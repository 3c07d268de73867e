// Cross entropy, launched: a warp to a row of logits.
#include "backends/cuda/cuda_backend.h"
#include "kernels/loss.cuh"

namespace shear::cuda {

namespace {

unsigned row_blocks(int64_t rows) { return static_cast<unsigned>((rows + warps - 1) / warps); }

}  // namespace

void CudaBackend::cross_entropy(ConstView logits, ConstView labels, float smoothing, View losses) {
  launch(cross_entropy_kernel, row_blocks(logits.rows), warps * 32, 0, on("cross_entropy"), logits.rows, logits.cols,
         logits.row(0), logits.stride, labels.row<int32_t>(0), smoothing, losses.row(0));
}

void CudaBackend::cross_entropy_grad(ConstView logits, ConstView labels, float smoothing, float scale, ConstView dloss,
                                     float beta, View dlogits) {
  const float off = smoothing / static_cast<float>(logits.cols);
  launch(cross_entropy_grad_kernel, row_blocks(logits.rows), warps * 32, 0, on("cross_entropy_grad"), logits.rows,
         logits.cols, logits.row(0), logits.stride, labels.row<int32_t>(0), 1.f - smoothing, off, scale, dloss.row(0),
         beta, dlogits.row(0), dlogits.stride);
}

void CudaBackend::count_right(ConstView logits, ConstView labels, float beta, View right) {
  launch(count_right_kernel, 1, most_warps * 32, 0, on("count_right"), logits.rows, logits.cols, logits.row(0),
         logits.stride, labels.row<int32_t>(0), beta, right.row(0));
}

}  // namespace shear::cuda
