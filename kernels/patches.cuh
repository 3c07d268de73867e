// Cutting images into patches, a block to a patch.
//
// Bytes moved: each pixel is read once and written once, 8 bytes, the least and counted; reads come in runs of a
// patch's side.
#pragma once
#include <cuda_runtime.h>

#include "shear/kernels/arguments.h"

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

}  // namespace shear::cuda
