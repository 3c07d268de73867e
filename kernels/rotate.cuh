// Rotary position embeddings: a thread to a pair of values that turn together.
//
// Bytes moved, for each element: 4 read and 4 written, and the angles once, 8.44 in all, which is the least; counted
// 13.31, the angles from the cache for all but the first head and sequence.  Where beta adds to what is there, 4 more.
// `sine_cosine`: for each angle 4 read and 16 written, counted 36 as a thread writes two floats apart.
// `rotate_angles_grad`: for each element of y that is turned 8.46, counted 16.42 as a thread reads two of each.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

namespace shear::cuda {

namespace {

constexpr int threads = 256;

struct Turn {
  int64_t tokens, first, model, width;
  int64_t next;  // from a head's angles to those of the next
  bool halves, back;
};

// Pairs of a row along x, rows along y.
__global__ void __launch_bounds__(threads)
    rotate_kernel(Turn g, int64_t rows, const float* sine, const float* cosine, int64_t angle_stride, const float* x,
                  int64_t x_stride, float beta, float* out, int64_t out_stride) {
  const int64_t pair = int64_t{blockIdx.x} * threads + threadIdx.x, half = g.width / 2;
  if (pair >= 3 * g.model / 2) return;
  const int64_t left = pair / half * g.width, angles = left % g.model / g.width * g.next, i = pair % half,
                a = g.halves ? i : 2 * i, b = g.halves ? a + half : a + 1;
  for (int64_t r = blockIdx.y; r < rows; r += gridDim.y) {
    const int64_t place = r % g.tokens - g.first;
    const float one = x[r * x_stride + left + a], two = x[r * x_stride + left + b];
    float p = one, q = two;
    if (place >= 0 && left < 2 * g.model) {
      const float *sin = sine + place * angle_stride + angles, *cos = cosine + place * angle_stride + angles;
      p = g.back ? one * cos[a] + two * sin[b] : one * cos[a] - two * sin[a];
      q = g.back ? two * cos[b] - one * sin[a] : two * cos[b] + one * sin[b];
    }
    float *const to_a = out + r * out_stride + left + a, *const to_b = out + r * out_stride + left + b;
    *to_a = beta == 0 ? p : fmaf(beta, *to_a, p);
    *to_b = beta == 0 ? q : fmaf(beta, *to_b, q);
  }
}

// Angles along x, rows along y.
__global__ void __launch_bounds__(threads)
    sine_cosine_kernel(int64_t rows, int64_t cols, const float* angles, int64_t angle_stride, float* sine,
                       int64_t sine_stride, float* cosine, int64_t cosine_stride) {
  const int64_t c = int64_t{blockIdx.x} * threads + threadIdx.x;
  if (c >= cols) return;
  for (int64_t r = blockIdx.y; r < rows; r += gridDim.y) {
    const float angle = angles[r * angle_stride + c], s = sinf(angle), k = cosf(angle);
    float *const to = sine + r * sine_stride + 2 * c, *const other = cosine + r * cosine_stride + 2 * c;
    to[0] = s, to[1] = s;
    other[0] = k, other[1] = k;
  }
}

// Pairs of a head's queries along x, tokens along y; each thread down the sequences.
__global__ void __launch_bounds__(threads)
    rotate_angles_grad_kernel(Turn g, int64_t sequences, int64_t rows, const float* y, int64_t y_stride,
                              const float* dy, int64_t dy_stride, float beta, float* out, int64_t out_stride) {
  const int64_t c = int64_t{blockIdx.x} * threads + threadIdx.x;
  if (c >= g.model / 2) return;
  for (int64_t n = blockIdx.y; n < rows; n += gridDim.y) {
    float sum = 0;
    for (int64_t b = 0; b < sequences; ++b) {
      const int64_t r = b * g.tokens + g.first + n;
      for (int part = 0; part < 2; ++part) {
        const int64_t left = part * g.model + 2 * c;
        const float *const at = y + r * y_stride + left, *const up = dy + r * dy_stride + left;
        sum += up[1] * at[0] - up[0] * at[1];
      }
    }
    float& to = out[n * out_stride + c];
    to = beta == 0 ? sum : fmaf(beta, to, sum);
  }
}

}  // namespace

}  // namespace shear::cuda
