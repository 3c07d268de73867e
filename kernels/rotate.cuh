// Rotary position embeddings: a thread to a pair of values that turn together.
//
// Bytes moved, for each element: 4 read and 4 written, and the angles once, 8.44 in all, which is the least; counted
// 13.31, the angles from the cache for all but the first head and sequence.  Where beta adds to what is there, 4 more.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

namespace shear::cuda {

namespace {

constexpr int threads = 256;

struct Turn {
  int64_t tokens, first, model, width;
  bool halves, back;
};

// Pairs of a row along x, rows along y.
__global__ void __launch_bounds__(threads)
    rotate_kernel(Turn g, int64_t rows, const float* sine, const float* cosine, int64_t angle_stride, const float* x,
                  int64_t x_stride, float beta, float* out, int64_t out_stride) {
  const int64_t pair = int64_t{blockIdx.x} * threads + threadIdx.x, half = g.width / 2;
  if (pair >= 3 * g.model / 2) return;
  const int64_t left = pair / half * g.width, i = pair % half, a = g.halves ? i : 2 * i,
                b = g.halves ? a + half : a + 1;
  for (int64_t r = blockIdx.y; r < rows; r += gridDim.y) {
    const int64_t place = r % g.tokens - g.first;
    const float one = x[r * x_stride + left + a], two = x[r * x_stride + left + b];
    float p = one, q = two;
    if (place >= 0 && left < 2 * g.model) {
      const float *sin = sine + place * angle_stride, *cos = cosine + place * angle_stride;
      p = g.back ? one * cos[a] + two * sin[b] : one * cos[a] - two * sin[a];
      q = g.back ? two * cos[b] - one * sin[a] : two * cos[b] + one * sin[b];
    }
    float *const to_a = out + r * out_stride + left + a, *const to_b = out + r * out_stride + left + b;
    *to_a = beta == 0 ? p : fmaf(beta, *to_a, p);
    *to_b = beta == 0 ? q : fmaf(beta, *to_b, q);
  }
}

}  // namespace

}  // namespace shear::cuda
