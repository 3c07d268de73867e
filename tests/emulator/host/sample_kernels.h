// Small kernels that use what CUDA offers, each with its launcher: for the tests of the emulation and the checker.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace shear::cuda::sample {

// c (m, n) = a (m, k) b (k, n), in tiles of static shared memory.
void tiled_product(const float* a, const float* b, float* c, int m, int n, int k, cudaStream_t);
// out[0] = the sum of x; partial: 64 floats.
void sum(const float* x, float* partial, float* out, int n, cudaStream_t);
// counts[v] = how often v is in x, by atomics on dynamic shared memory.
void histogram(const int* x, unsigned* counts, int n, int bins, cudaStream_t);
// y = x, four at a time.
void copy_in_fours(const float* x, float* y, int n, cudaStream_t);
// y[i] = x[0] + ... + x[i], n <= 1024.
void running_sum(const float* x, float* y, int n, cudaStream_t);
// y (cols, rows) = x (rows, cols) transposed.
void transpose(const float* x, float* y, int rows, int cols, cudaStream_t);

// What one thread saw of the votes of its warp (over "x > 0") and of its block (over "x > 1").
struct Votes {
  unsigned ballot;
  int any, all, block_count, block_any, block_all;
  float from_lane_3, from_above, from_below, from_partner;  // by the four shuffles, distance 1
};
void votes(const float* x, Votes* out, int n, cudaStream_t);
// out[0] = the largest, out[1] = the smallest, out[2] = how many are even, out[3] = their union of bits, of x.
void extremes(const int* x, int* out, int n, cudaStream_t);

struct Scaling {
  const float* x;
  float factor;
  int16_t shift;
};
// y = factor * x + shift; the argument is a struct.
void scale(Scaling, float* y, int n, cudaStream_t);
void scale_bf16(const __nv_bfloat16* x, float factor, __nv_bfloat16* y, int n, cudaStream_t);

// c (m, n) = 0.5 a (m, k) b (k, n) on tensor cores; m, n multiples of 32, k of 16.
template <class T>
void wmma_product(const T* a, const T* b, float* c, int m, int n, int k, cudaStream_t);

// A launch with nothing to do, of this shape.
void empty(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t);

}  // namespace shear::cuda::sample
