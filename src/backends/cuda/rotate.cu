// Rotary position embeddings, launched: pairs of a row along x, rows along y.
#include <algorithm>

#include "backends/cuda/cuda_backend.h"
#include "kernels/rotate.cuh"

namespace shear::cuda {

namespace {

dim3 grid_of(int64_t rows, int64_t cols) {
  constexpr int64_t most_rows = 65535;  // along y, as the hardware has it
  return {static_cast<unsigned>((cols + threads - 1) / threads), static_cast<unsigned>(std::min(rows, most_rows))};
}

}  // namespace

void CudaBackend::rotate(const HeadGrid& g, int64_t first, RotaryPairs pairs, bool back, ConstView sine,
                         ConstView cosine, ConstView x, float beta, View out) {
  const int64_t next = sine.cols > g.width ? g.width : 0;
  launch(rotate_kernel, grid_of(out.rows, 3 * g.model() / 2), threads, 0, on("rotate"),
         Turn{g.tokens, first, g.model(), g.width, next, pairs == RotaryPairs::halves, back}, out.rows, sine.row(0),
         cosine.row(0), sine.stride, x.row(0), x.stride, beta, out.row(0), out.stride);
}

void CudaBackend::sine_cosine(ConstView angles, View sine, View cosine) {
  launch(sine_cosine_kernel, grid_of(angles.rows, angles.cols), threads, 0, on("sine_cosine"), angles.rows, angles.cols,
         angles.row(0), angles.stride, sine.row(0), sine.stride, cosine.row(0), cosine.stride);
}

void CudaBackend::rotate_angles_grad(const HeadGrid& g, int64_t first, ConstView y, ConstView dy, float beta,
                                     View out) {
  launch(rotate_angles_grad_kernel, grid_of(out.rows, out.cols), threads, 0, on("rotate_angles_grad"),
         Turn{g.tokens, first, g.model(), g.width, g.width, false, false}, g.batch, out.rows, y.row(0), y.stride,
         dy.row(0), dy.stride, beta, out.row(0), out.stride);
}

}  // namespace shear::cuda
