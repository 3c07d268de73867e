// Weights that sleep in fewer bits than f32: waking them, launched a thread to an element.
#include "kernels/weights.cuh"

#include "backends/cuda/cuda_backend.h"
#include "shear/error.h"

namespace shear::cuda {

void CudaBackend::wake_weights(ConstView value, ConstView fine, View out) {
  const int64_t n = out.elements();
  require(value.elements() == n && (!fine.data || fine.elements() == n) && value.contiguous() && fine.contiguous() &&
              out.contiguous(),
          "wake_weights: sizes differ, or rows are apart");
  launch(wake_weights_kernel, blocks_for(n, wake_threads), wake_threads, 0, on("wake_weights"), n,
         value.row<uint16_t>(0), fine.data ? fine.row<uint8_t>(0) : nullptr, out.row(0));
}

}  // namespace shear::cuda
