// Cutting images into patches, a block to a patch.
#include "backends/cuda/cuda_backend.h"
#include "kernels/patches.cuh"

namespace shear::cuda {

void CudaBackend::gather_patches(const PatchGrid& g, ConstView images, int64_t first, View out) {
  launch(gather_patches_kernel, static_cast<unsigned>(out.rows), threads, 0, on("gather_patches"), g,
         static_cast<int>(g.across()), static_cast<int>(g.count()), static_cast<int>(g.size()), images.row(0), first,
         out.row(0), out.stride);
}

}  // namespace shear::cuda
