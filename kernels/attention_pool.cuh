// Attention of one query over the tokens of each sequence: a block takes one head of one of them.
//
// Bytes moved, for each of B N H D: forward reads keys and values once, 8.09 with the probabilities in the scratch, the
// least; counted 13.89, since the query comes from the cache for every key.  Backward reads keys twice, for the scores
// and for the query's gradient, and writes both gradients: the least 16.18, counted 31.8, with the query and what
// arrives for every key, and each thread's looks at the probabilities.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/reduce.cuh"

namespace shear::cuda {

namespace {

constexpr int pool_threads = 128, pool_warps = pool_threads / 32;

// One head of one sequence: where its keys and values begin, those of the first token that counts.
struct PoolHead {
  int64_t tokens, first, heads, width;

  __device__ __forceinline__ int64_t sequence() const { return blockIdx.x / heads; }
  __device__ __forceinline__ int64_t column() const { return blockIdx.x % heads * width; }
  __device__ __forceinline__ int64_t keys(int64_t stride) const {
    return (sequence() * tokens + first) * stride + column();
  }
  __device__ __forceinline__ int64_t model() const { return heads * width; }
  __device__ __forceinline__ int64_t count() const { return tokens - first; }
};

// to[n] = the product of `vector` and row n, a warp to a row.
__device__ __forceinline__ void row_products(const PoolHead& g, const float* vector, const float* rows, int64_t stride,
                                             float* to) {
  for (int64_t n = threadIdx.x / 32; n < g.count(); n += pool_warps) {
    float sum = 0;
    for (int64_t c = threadIdx.x % 32; c < g.width; c += 32) sum += vector[c] * rows[n * stride + c];
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) to[n] = sum;
  }
}

// p = softmax(scale * p), by the whole block.
__device__ __forceinline__ void block_softmax(const PoolHead& g, float scale, float* p, float* room) {
  float largest = -INFINITY, sum = 0;
  for (int64_t n = threadIdx.x; n < g.count(); n += pool_threads) largest = fmaxf(largest, p[n]);
  largest = block_max(largest, room);
  for (int64_t n = threadIdx.x; n < g.count(); n += pool_threads) sum += p[n] = expf(scale * (p[n] - largest));
  const float inverse = 1.f / block_sum(sum, room);
  for (int64_t n = threadIdx.x; n < g.count(); n += pool_threads) p[n] *= inverse;
}

__global__ void __launch_bounds__(pool_threads)
    attention_pool_kernel(PoolHead g, float scale, const float* query, const float* kv, int64_t stride, float* context,
                          int64_t context_stride, float* scratch) {
  __shared__ float room[most_warps];
  const float *const keys = kv + g.keys(stride), *const values = keys + g.model();
  float* const p = scratch + int64_t{blockIdx.x} * 2 * g.tokens;
  row_products(g, query + g.column(), keys, stride, p);
  __syncthreads();
  block_softmax(g, scale, p, room);
  __syncthreads();
  for (int64_t c = threadIdx.x; c < g.width; c += pool_threads) {
    float sum = 0;
    for (int64_t n = 0; n < g.count(); ++n) sum += p[n] * values[n * stride + c];
    context[g.sequence() * context_stride + g.column() + c] = sum;
  }
}

__global__ void __launch_bounds__(pool_threads)
    attention_pool_grad_kernel(PoolHead g, float scale, const float* query, const float* kv, int64_t stride,
                               const float* dcontext, int64_t up_stride, float* dquery, int64_t dquery_stride,
                               float* dkv, int64_t dkv_stride, float* scratch) {
  __shared__ float room[most_warps];
  const float *const keys = kv + g.keys(stride), *const values = keys + g.model(), *const q = query + g.column();
  const float* const up = dcontext + g.sequence() * up_stride + g.column();
  float *const p = scratch + int64_t{blockIdx.x} * 2 * g.tokens, *const d = p + g.tokens;
  row_products(g, q, keys, stride, p);
  row_products(g, up, values, stride, d);
  __syncthreads();
  block_softmax(g, scale, p, room);
  __syncthreads();
  float sum = 0;
  for (int64_t n = threadIdx.x; n < g.count(); n += pool_threads) sum += p[n] * d[n];
  sum = block_sum(sum, room);
  for (int64_t n = threadIdx.x; n < g.count(); n += pool_threads) d[n] = p[n] * (d[n] - sum) * scale;
  __syncthreads();
  float *const dk = dkv + g.keys(dkv_stride), *const dv = dk + g.model();
  for (int64_t c = threadIdx.x; c < g.width; c += pool_threads) {
    const float query_c = q[c], up_c = up[c];
    float dq = 0;
    for (int64_t n = 1; n <= g.first; ++n) dk[c - n * dkv_stride] = dv[c - n * dkv_stride] = 0;
    for (int64_t n = 0; n < g.count(); ++n) {
      dq += d[n] * keys[n * stride + c];
      dk[n * dkv_stride + c] = d[n] * query_c;
      dv[n * dkv_stride + c] = p[n] * up_c;
    }
    dquery[g.sequence() * dquery_stride + g.column() + c] = dq;
  }
}

}  // namespace

}  // namespace shear::cuda
