// Kernels in which every element minds its own business.
//
// Bytes moved: each operand is read once and the result written once, which is the least and what is counted: 4 for
// `fill`, 6 for a conversion to 16 bits, 8 for one operand, 12 for two, and 4 more where beta adds to what is there.
// `add_row`: 8.01, counted 12, its row comes from the cache; `scale_rows`: 8.02, counted 9.33; `swiglu` 12, its
// gradient
// 20.  `dropout` makes its mask anew from the counter: 8.
#pragma once
#include "kernels/gelu.cuh"
#include "kernels/short_types.cuh"
#include "kernels/vectors.cuh"
#include "shear/random.h"

namespace shear::cuda {

namespace {

constexpr int threads = 256;

// Loops over columns are not unrolled: a grid is nearly always wide enough for one turn, and copies of the body would
// take registers from it.

// y[r, c] = f(a[r, c], b[r, c]) + beta * y[r, c]; y may be a or b.  Columns W at a time along x, rows along y.
template <int W, class F>
__global__ void __launch_bounds__(threads)
    map2_kernel(F f, int64_t rows, int64_t cols, const float* a, int64_t a_stride, const float* b, int64_t b_stride,
                float beta, float* y, int64_t y_stride) {
  const int64_t step = int64_t{W} * gridDim.x * threads;
  for (int64_t r = blockIdx.y; r < rows; r += gridDim.y)
#pragma unroll 1
    for (int64_t c = W * (int64_t{blockIdx.x} * threads + threadIdx.x); c < cols; c += step) {
      const Lanes<W> p = load<W>(a + r * a_stride + c), q = load<W>(b + r * b_stride + c);
      float* const to = y + r * y_stride + c;
      const Lanes<W> old = beta == 0 ? Lanes<W>{} : load<W>(to);
      Lanes<W> out;
#pragma unroll
      for (int i = 0; i < W; ++i) {
        const float v = f(p.at[i], q.at[i]);
        out.at[i] = beta == 0 ? v : fmaf(beta, old.at[i], v);
      }
      store(to, out);
    }
}

// y[r, c] = scale[r] * x[r, c] + beta * y[r, c]; y may be x.
template <int W>
__global__ void __launch_bounds__(threads)
    scale_rows_kernel(int64_t rows, int64_t cols, const float* x, int64_t x_stride, const float* scale, float beta,
                      float* y, int64_t y_stride) {
  const int64_t step = int64_t{W} * gridDim.x * threads;
  for (int64_t r = blockIdx.y; r < rows; r += gridDim.y) {
    const float s = scale[r];
#pragma unroll 1
    for (int64_t c = W * (int64_t{blockIdx.x} * threads + threadIdx.x); c < cols; c += step) {
      const Lanes<W> p = load<W>(x + r * x_stride + c);
      float* const to = y + r * y_stride + c;
      const Lanes<W> old = beta == 0 ? Lanes<W>{} : load<W>(to);
      Lanes<W> out;
#pragma unroll
      for (int i = 0; i < W; ++i) out.at[i] = beta == 0 ? s * p.at[i] : fmaf(beta, old.at[i], s * p.at[i]);
      store(to, out);
    }
  }
}

// dx[r, c] = dy[r, c] b silu'(a), dx[r, cols + c] = dy[r, c] silu(a), with a = x[r, c] and b = x[r, cols + c]; plus
// beta times what is there.  Columns along x, rows along y.
template <int W>
__global__ void __launch_bounds__(threads)
    swiglu_grad_kernel(int64_t rows, int64_t cols, const float* x, int64_t x_stride, const float* dy, int64_t dy_stride,
                       float beta, float* dx, int64_t dx_stride) {
  const int64_t step = int64_t{W} * gridDim.x * threads;
  for (int64_t r = blockIdx.y; r < rows; r += gridDim.y)
#pragma unroll 1
    for (int64_t c = W * (int64_t{blockIdx.x} * threads + threadIdx.x); c < cols; c += step) {
      const float* const from = x + r * x_stride + c;
      float* const to = dx + r * dx_stride + c;
      const Lanes<W> a = load<W>(from), b = load<W>(from + cols), up = load<W>(dy + r * dy_stride + c);
      const Lanes<W> old_a = beta == 0 ? Lanes<W>{} : load<W>(to), old_b = beta == 0 ? Lanes<W>{} : load<W>(to + cols);
      Lanes<W> da, db;
#pragma unroll
      for (int i = 0; i < W; ++i) {
        const float g = up.at[i] * b.at[i] * sigmoid_gate_slope(a.at[i], 1), h = up.at[i] * a.at[i] * sigmoid(a.at[i]);
        da.at[i] = beta == 0 ? g : fmaf(beta, old_a.at[i], g);
        db.at[i] = beta == 0 ? h : fmaf(beta, old_b.at[i], h);
      }
      store(to, da);
      store(to + cols, db);
    }
}

// y[r, c] = f(x[r, c]) + beta * y[r, c]
template <int W, class F>
__global__ void __launch_bounds__(threads) map_kernel(F f, int64_t rows, int64_t cols, const float* x, int64_t x_stride,
                                                      float beta, float* y, int64_t y_stride) {
  const int64_t step = int64_t{W} * gridDim.x * threads;
  for (int64_t r = blockIdx.y; r < rows; r += gridDim.y)
#pragma unroll 1
    for (int64_t c = W * (int64_t{blockIdx.x} * threads + threadIdx.x); c < cols; c += step) {
      const Lanes<W> p = load<W>(x + r * x_stride + c);
      float* const to = y + r * y_stride + c;
      const Lanes<W> old = beta == 0 ? Lanes<W>{} : load<W>(to);
      Lanes<W> out;
#pragma unroll
      for (int i = 0; i < W; ++i) {
        const float v = f(p.at[i]);
        out.at[i] = beta == 0 ? v : fmaf(beta, old.at[i], v);
      }
      store(to, out);
    }
}

template <class T>
__global__ void __launch_bounds__(threads) fill_kernel(int64_t rows, int64_t cols, T value, T* out, int64_t stride) {
  for (int64_t r = blockIdx.y; r < rows; r += gridDim.y)
    for (int64_t c = int64_t{blockIdx.x} * threads + threadIdx.x; c < cols; c += int64_t{gridDim.x} * threads)
      out[r * stride + c] = value;
}

// out[r, c] = x[r, c], rounded to what out holds
template <class To, class From>
__global__ void __launch_bounds__(threads)
    convert_kernel(int64_t rows, int64_t cols, const From* x, int64_t x_stride, To* out, int64_t stride) {
  for (int64_t r = blockIdx.y; r < rows; r += gridDim.y)
    for (int64_t c = int64_t{blockIdx.x} * threads + threadIdx.x; c < cols; c += int64_t{gridDim.x} * threads)
      out[r * stride + c] = narrowed<To>(widened(x[r * x_stride + c]));
}

// A thread takes the four elements of one block of the stream.
template <int W>
__global__ void __launch_bounds__(threads) dropout_kernel(int64_t n, const float* x, uint32_t dropped_below,
                                                          float scale, StreamKey key, float beta, float* y) {
  const int64_t step = int64_t{4} * gridDim.x * threads;
  for (int64_t first = 4 * (int64_t{blockIdx.x} * threads + threadIdx.x); first < n; first += step) {
    const auto words = key.four(static_cast<uint32_t>(first / 4));
#pragma unroll
    for (int i = 0; i < 4; i += W) {
      if (first + i >= n) break;
      const Lanes<W> p = load<W>(x + first + i), old = beta == 0 ? Lanes<W>{} : load<W>(y + first + i);
      Lanes<W> out;
#pragma unroll
      for (int j = 0; j < W; ++j) {
        const float kept = words[static_cast<size_t>(i + j)] >= dropped_below ? p.at[j] * scale : 0.f;
        out.at[j] = beta == 0 ? kept : fmaf(beta, old.at[j], kept);
      }
      store(y + first + i, out);
    }
  }
}

struct Same {
  __device__ __forceinline__ float operator()(float x) const { return x; }
};
struct Sum {
  __device__ __forceinline__ float operator()(float a, float b) const { return a + b; }
};
struct Product {
  __device__ __forceinline__ float operator()(float a, float b) const { return a * b; }
};
struct Exponential {
  __device__ __forceinline__ float operator()(float x) const { return expf(x); }
};
struct Relu {
  __device__ __forceinline__ float operator()(float x) const { return x < 0 ? 0.f : x; }  // nan stays nan
};
struct ReluGrad {
  __device__ __forceinline__ float operator()(float y, float dy) const { return y > 0 ? dy : 0.f; }
};
struct Gelu {
  __device__ __forceinline__ float operator()(float x) const { return gelu_exact(x); }
};
struct GeluTanh {
  __device__ __forceinline__ float operator()(float x) const { return gelu_tanh(x); }
};
template <class F>
struct OfRounded {
  __device__ __forceinline__ float operator()(float x) const { return F{}(Rounded{}(x)); }
};
struct GeluQuick {
  __device__ __forceinline__ float operator()(float x) const { return x * sigmoid(quick_factor * x); }
};
struct GeluGrad {
  __device__ __forceinline__ float operator()(float x, float dy) const { return dy * gelu_slope(x); }
};
struct GeluTanhGrad {
  __device__ __forceinline__ float operator()(float x, float dy) const { return dy * gelu_tanh_slope(x); }
};
struct GeluQuickGrad {
  __device__ __forceinline__ float operator()(float x, float dy) const {
    return dy * sigmoid_gate_slope(x, quick_factor);
  }
};
struct Swiglu {
  __device__ __forceinline__ float operator()(float a, float b) const { return a * sigmoid(a) * b; }
};
template <class F>
struct OfRoundedBoth {
  __device__ __forceinline__ float operator()(float a, float b) const { return F{}(Rounded{}(a), Rounded{}(b)); }
};

}  // namespace

}  // namespace shear::cuda
