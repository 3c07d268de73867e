// Cutting images into patches, a block to a patch.
//
// Bytes moved: each pixel is read once and written once, 8 bytes, the least and counted; reads come in runs of a
// patch's side.
#include "backends/cuda/cuda_backend.h"

namespace shear::cuda {

namespace {

constexpr int threads = 256;

__global__ void __launch_bounds__(threads)
    gather_patches_kernel(PatchGrid g, int across, int count, int size, const float* images, int64_t first, float* out,
                          int64_t stride) {
  const int64_t index = first + blockIdx.x, image = index / count;
  const int place = static_cast<int>(index % count), side = static_cast<int>(g.patch);
  const int top = place / across * side, left = place % across * side;
  float* to = out + blockIdx.x * stride;
  for (int i = threadIdx.x; i < size; i += threads) {
    const int x = i % side, y = i / side % side, channel = i / (side * side);
    to[i] = images[((image * g.channels + channel) * g.height + top + y) * g.width + left + x];
  }
}

}  // namespace

void CudaBackend::gather_patches(const PatchGrid& g, ConstView images, int64_t first, View out) {
  launch(gather_patches_kernel, static_cast<unsigned>(out.rows), threads, 0, on("gather_patches"), g,
         static_cast<int>(g.across()), static_cast<int>(g.count()), static_cast<int>(g.size()), images.row(0), first,
         out.row(0), out.stride);
}

}  // namespace shear::cuda
