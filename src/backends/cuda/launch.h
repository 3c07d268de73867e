// How kernels are launched: plain C++, the same text for every compiler that reads it.
//
// Each file of kernels/ says what they move, in bytes for an element.  The least is every byte of device memory that a
// launch needs, read and written once.  What is counted are sectors of 32 bytes, for each request of a warp, wherever
// it finds them: a second look at a row is counted, and served by a cache.  tests/emulator/host/traffic_test.cpp holds
// the figures to account, at the shapes of ViT-Ti/16 for two images (197 tokens, 192 wide, 3 heads).
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "backends/cuda/errors.h"

namespace shear::cuda {

// Where a kernel runs, and for which function of the backend: an error names it.
struct On {
  cudaStream_t stream;
  const char* op;

  On(cudaStream_t where, const char* what = "kernel") : stream(where), op(what) {}
};

// Runs kernel(args...) on grid x block threads, each block with `shared_bytes` of dynamic shared memory.  An empty grid
// has nothing to do.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, On on, Arguments&&... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  constexpr size_t without_asking = 48 * 1024;
  if (shared_bytes > without_asking)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)),
          "cudaFuncSetAttribute", on.op);
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = on.stream;
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(args)...), "cudaLaunchKernelEx", on.op);
}

// Blocks of `block` threads for n elements, at most `most`: threads then take more than one, a grid apart.
inline dim3 blocks_for(int64_t n, int64_t block, int64_t most = 8192) {
  const int64_t blocks = (n + block - 1) / block;
  return dim3(static_cast<unsigned>(blocks < most ? blocks : most));
}

}  // namespace shear::cuda
