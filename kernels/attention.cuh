// Tiled multi-head attention: a block takes 32 queries of one head past its keys, 32 at a time.
//
// After Dao et al., "FlashAttention", 2022: scores live in registers and shared memory, the softmax is gathered as the
// tiles go by, and no N x N matrix is ever whole unless the probabilities are asked for.
//
// Bytes moved, for each of B N H D: queries, keys, values and context once are 16, the least.  Queries and context move
// once; keys and values are read by every tile of queries, ceil(N / 32) = 7 times: counted 64.2, of which all but the
// first 16 come from the L2 cache, which holds a head's 8 N D bytes.  `probabilities_kernel`: queries and keys are 8
// and the probabilities 4 N / D = 12.3 more, the least 20.4; each tile of them reads its queries and keys anew, 81.7.
// A table of relative positions is some kilobytes to a head, of which every score reads one number: counted 84.1, where
// it is 64.2 without.
#pragma once
#include "kernels/attention_tiles.cuh"

namespace shear::cuda {

namespace {

// R: with relative positions, whose bias takes the scale in: `left` is what is left of it for the softmax to do.
// maxima and inverses: of each row of scores, its largest and one over the sum of exp(left (s - largest)); or null.
template <int D, bool R>
__global__ void __launch_bounds__(attention_threads)
    attention_kernel(Head g, int tiles, float scale, Relative relative, const float* qkv, int64_t stride,
                     float* context, int64_t context_stride, float* log_sum_exp, int64_t lse_stride, float* maxima,
                     float* inverses) {
  float* const q = reinterpret_cast<float*>(dyn_smem);
  float* const kv = q + TileOf<D>::floats;
  float* const p = kv + TileOf<D>::floats;
  const Place at;
  const int64_t index = blockIdx.x / tiles, first = int64_t{tile} * (blockIdx.x % tiles);
  load_tile<D>(qkv + g.offset(index, 0, stride), stride, g, first, q);
  const float left = R ? 1.f : scale;
  Online rows[per_thread];
  Sums<D> sums;
  clear(sums);
  for (int64_t key = 0; key < g.tokens; key += tile) {
    load_tile<D>(qkv + g.offset(index, 1, stride), stride, g, key, kv);
    __syncthreads();
    Scores s;
    multiply_transposed<D>(at, q, kv, s);
    if (R) add_relative(at, g, relative, scale, index, first, key, s);
    mask(at, key, g.tokens, s);
#pragma unroll
    for (int i = 0; i < per_thread; ++i) {
      const float factor = rows[i].take(s[i], left);
#pragma unroll
      for (int j = 0; j < TileOf<D>::columns; ++j) sums[i][j] *= factor;
    }
    store_scores(at, s, p);
    __syncthreads();  // the keys were read: the values take their place
    load_tile<D>(qkv + g.offset(index, 2, stride), stride, g, key, kv);
    __syncthreads();
    add_product<D, false>(at, p, kv, sums);
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < per_thread; ++i) {
    const float inverse = 1.f / rows[i].sum;
#pragma unroll
    for (int j = 0; j < TileOf<D>::columns; ++j) sums[i][j] *= inverse;
    const int64_t query = first + at.row(i);
    if (at.x != 0 || query >= g.tokens) continue;
    if (log_sum_exp) log_sum_exp[index * lse_stride + query] = left * rows[i].max + logf(rows[i].sum);
    if (maxima) maxima[index * g.tokens + query] = rows[i].max, inverses[index * g.tokens + query] = inverse;
  }
  store_sums<D>(at, sums, g, first, context_stride, context + g.offset(index, 0, context_stride));
}

// A block takes one tile of one head's probabilities.
template <int D, bool R>
__global__ void __launch_bounds__(attention_threads)
    probabilities_kernel(Head g, int tiles, float scale, Relative relative, const float* qkv, int64_t stride,
                         const float* maxima, const float* inverses, float* probabilities, int64_t p_stride) {
  float* const q = reinterpret_cast<float*>(dyn_smem);
  float* const k = q + TileOf<D>::floats;
  const Place at;
  const int64_t index = blockIdx.x / tiles, first = int64_t{tile} * (blockIdx.x % tiles);
  const int64_t key = int64_t{tile} * blockIdx.y;
  load_tile<D>(qkv + g.offset(index, 0, stride), stride, g, first, q);
  load_tile<D>(qkv + g.offset(index, 1, stride), stride, g, key, k);
  __syncthreads();
  Scores s;
  multiply_transposed<D>(at, q, k, s);
  if (R) add_relative(at, g, relative, scale, index, first, key, s);
  const float left = R ? 1.f : scale;
#pragma unroll
  for (int i = 0; i < per_thread; ++i) {
    if (first + at.row(i) >= g.tokens) continue;
    const int64_t row = index * g.tokens + first + at.row(i);
    const float largest = maxima[row], inverse = inverses[row];
    float* const to = probabilities + row * p_stride + key;
#pragma unroll
    for (int j = 0; j < per_thread; ++j)
      if (key + at.column(j) < g.tokens) to[at.column(j)] = expf(left * (s[i][j] - largest)) * inverse;
  }
}

}  // namespace

}  // namespace shear::cuda
