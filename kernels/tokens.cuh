// Means over the tokens of sequences: a thread to a column, down the tokens.
//
// Bytes moved: 4 an element of x for the mean, read once, which is the least; its gradient writes 4 and reads a row
// that comes from the cache, and reads 4 more where beta adds to what is there.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

namespace shear::cuda {

namespace {

constexpr int threads = 256;

// Columns along x, sequences along y.
__global__ void __launch_bounds__(threads)
    mean_tokens_kernel(int64_t sequences, int64_t cols, int64_t tokens, int64_t first, const float* x, int64_t stride,
                       float share, float* out, int64_t out_stride) {
  const int64_t c = int64_t{blockIdx.x} * threads + threadIdx.x;
  if (c >= cols) return;
  for (int64_t b = blockIdx.y; b < sequences; b += gridDim.y) {
    const float* from = x + b * tokens * stride + c;
    float sum = 0;
    for (int64_t n = first; n < tokens; ++n) sum += from[n * stride];
    out[b * out_stride + c] = share * sum;
  }
}

// Columns along x, tokens along y.
__global__ void __launch_bounds__(threads)
    mean_tokens_grad_kernel(int64_t rows, int64_t cols, int64_t tokens, int64_t first, const float* dy, int64_t stride,
                            float share, float beta, float* dx, int64_t dx_stride) {
  const int64_t c = int64_t{blockIdx.x} * threads + threadIdx.x;
  if (c >= cols) return;
  for (int64_t r = blockIdx.y; r < rows; r += gridDim.y) {
    const float g = r % tokens < first ? 0 : share * dy[r / tokens * stride + c];
    float& to = dx[r * dx_stride + c];
    to = beta == 0 ? g : fmaf(beta, to, g);
  }
}

}  // namespace

}  // namespace shear::cuda
