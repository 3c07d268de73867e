// Rotary position embeddings, launched: pairs of a row along x, rows along y.
#include <algorithm>

#include "backends/cuda/cuda_backend.h"
#include "kernels/rotate.cuh"

namespace shear::cuda {

void CudaBackend::rotate(const HeadGrid& g, int64_t first, RotaryPairs pairs, bool back, ConstView sine,
                         ConstView cosine, ConstView x, float beta, View out) {
  constexpr int64_t most_rows = 65535;  // along y, as the hardware has it
  const dim3 grid(static_cast<unsigned>((3 * g.model() / 2 + threads - 1) / threads),
                  static_cast<unsigned>(std::min(out.rows, most_rows)));
  launch(rotate_kernel, grid, threads, 0, on("rotate"),
         Turn{g.tokens, first, g.model(), g.width, pairs == RotaryPairs::halves, back}, out.rows, sine.row(0),
         cosine.row(0), sine.stride, x.row(0), x.stride, beta, out.row(0), out.stride);
}

}  // namespace shear::cuda
