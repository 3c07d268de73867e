// What the attention kernels share: tiles of a head in shared memory, and products of them in registers.
//
// A block is 64 threads and works on 32 queries and 32 keys at a time.  Of a tile of scores a thread has four rows and
// four columns, eight apart: rows by y, columns by x; the eight threads of a row are neighbours in a warp.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/dynamic.cuh"
#include "kernels/reduce.cuh"

namespace shear::cuda {

constexpr int tile = 32;                  // queries, and keys
constexpr int apart = 8;                  // threads along each side
constexpr int per_thread = tile / apart;  // rows, and columns
constexpr int attention_threads = apart * apart;
constexpr int score_stride = tile + 1;  // of a tile of scores, so that a column's banks differ

// D: the width of a head, rounded up to a multiple of 32; the rest is zeros.
template <int D>
struct TileOf {
  static constexpr int stride = D + 1, floats = tile * stride, columns = D / apart;  // columns: of a thread
};
constexpr int score_floats = tile * score_stride;

using Scores = float[per_thread][per_thread];
template <int D>
using Sums = float[per_thread][TileOf<D>::columns];

// One head of one image in the packed (B, N, 3, H, D) tensor; part 0, 1, 2: queries, keys, values.
struct Head {
  int64_t tokens, heads, width;
  __device__ __forceinline__ int64_t offset(int64_t index, int64_t part, int64_t stride) const {
    return index / heads * tokens * stride + (part * heads + index % heads) * width;
  }
};

// A bias of scores by how far apart two patches are: a row of `values` to a distance, see HeadGrid.
struct Relative {
  const float* values;
  int stride, down, across;
  float inverse;  // of across

  __host__ __device__ __forceinline__ int pairs() const { return (2 * down - 1) * (2 * across - 1); }  // of patches
  // How far a token's patch is from the first, rows before columns: distances of two are differences of these.
  // The quotient is exact for two million patches: what is lost of its digits is less than half a patch's share.
  __device__ __forceinline__ int from_first(int token) const {
    const int patch = token - 1, row = static_cast<int>((static_cast<float>(patch) + 0.5f) * inverse);
    return row * (across - 1) + patch;
  }
};

struct Place {
  int x, y;
  __device__ __forceinline__ Place() : x(threadIdx.x % apart), y(threadIdx.x / apart) {}
  __device__ __forceinline__ int row(int i) const { return y + apart * i; }
  __device__ __forceinline__ int column(int j) const { return x + apart * j; }
};

// The rows first ... first + 32 of a head, and zeros past its last row and column.
template <int D>
__device__ __forceinline__ void load_tile(const float* head, int64_t stride, const Head& g, int64_t first, float* to) {
  for (int i = threadIdx.x; i < tile * D; i += attention_threads) {
    const int r = i / D, d = i % D;
    to[r * TileOf<D>::stride + d] = first + r < g.tokens && d < g.width ? head[(first + r) * stride + d] : 0.f;
  }
}

template <int N>
__device__ __forceinline__ void clear(float (&of)[per_thread][N]) {
#pragma unroll
  for (int i = 0; i < per_thread; ++i)
#pragma unroll
    for (int j = 0; j < N; ++j) of[i][j] = 0;
}

// scores = a b'
template <int D>
__device__ __forceinline__ void multiply_transposed(const Place& at, const float* a, const float* b, Scores& scores) {
  constexpr int stride = TileOf<D>::stride;
  clear(scores);
#pragma unroll 4
  for (int d = 0; d < D; ++d) {
    float p[per_thread], q[per_thread];
#pragma unroll
    for (int i = 0; i < per_thread; ++i) p[i] = a[at.row(i) * stride + d], q[i] = b[at.column(i) * stride + d];
#pragma unroll
    for (int i = 0; i < per_thread; ++i)
#pragma unroll
      for (int j = 0; j < per_thread; ++j) scores[i][j] = fmaf(p[i], q[j], scores[i][j]);
  }
}

// sums += s b, or s' b, where s is a tile of scores in shared memory.
template <int D, bool Turned>
__device__ __forceinline__ void add_product(const Place& at, const float* s, const float* b, Sums<D>& sums) {
#pragma unroll 4
  for (int k = 0; k < tile; ++k) {
    float p[per_thread];
#pragma unroll
    for (int i = 0; i < per_thread; ++i)
      p[i] = Turned ? s[k * score_stride + at.row(i)] : s[at.row(i) * score_stride + k];
#pragma unroll
    for (int j = 0; j < TileOf<D>::columns; ++j) {
      const float q = b[k * TileOf<D>::stride + at.column(j)];
#pragma unroll
      for (int i = 0; i < per_thread; ++i) sums[i][j] = fmaf(p[i], q, sums[i][j]);
    }
  }
}

__device__ __forceinline__ void store_scores(const Place& at, const Scores& scores, float* to) {
#pragma unroll
  for (int i = 0; i < per_thread; ++i)
#pragma unroll
    for (int j = 0; j < per_thread; ++j) to[at.row(i) * score_stride + at.column(j)] = scores[i][j];
}

// Rows of sums to rows first ... of a head.
template <int D>
__device__ __forceinline__ void store_sums(const Place& at, const Sums<D>& sums, const Head& g, int64_t first,
                                           int64_t stride, float* head) {
#pragma unroll
  for (int i = 0; i < per_thread; ++i)
#pragma unroll
    for (int j = 0; j < TileOf<D>::columns; ++j)
      if (first + at.row(i) < g.tokens && at.column(j) < g.width)
        head[(first + at.row(i)) * stride + at.column(j)] = sums[i][j];
}

// Over the eight threads that share a row; all of them get the result.
template <class Op>
__device__ __forceinline__ float row_reduce(float v, Op op) {
#pragma unroll
  for (int offset = apart / 2; offset > 0; offset /= 2) v = op(v, __shfl_xor_sync(all_lanes, v, offset));
  return v;
}

// What the softmax of a row of scores needs, gathered tile by tile (Milakov & Gimelshein, "Online normalizer
// calculation for softmax", 2018): what was summed so far is scaled when a larger maximum is met.
struct Online {
  float max = -INFINITY, sum = 0;

  // s: this thread's scores of the row, which become exp(scale (s - max)).  The factor for what was summed before.
  __device__ __forceinline__ float take(float (&s)[per_thread], float scale) {
    float top = s[0];
#pragma unroll
    for (int j = 1; j < per_thread; ++j) top = fmaxf(top, s[j]);
    const float before = max;
    max = fmaxf(max, row_reduce(top, Max{}));
    float mine = 0;
#pragma unroll
    for (int j = 0; j < per_thread; ++j) mine += s[j] = expf(scale * (s[j] - max));
    const float factor = expf(scale * (before - max));
    sum = sum * factor + row_reduce(mine, Add<float>{});
    return factor;
  }
};

// scores = scale scores + the bias of the head, where there are such a query and key.  In 32 bits: registers are
// scarce.
__device__ __forceinline__ void add_relative(const Place& at, const Head& g, const Relative& relative, float scale,
                                             int64_t index, int64_t query, int64_t key, Scores& scores) {
  const float* const bias = relative.values + index % g.heads;
  const int pairs = relative.pairs(), tokens = static_cast<int>(g.tokens);
#pragma unroll
  for (int i = 0; i < per_thread; ++i) {
    const int n = static_cast<int>(query) + at.row(i);
    const int own = relative.from_first(n) + pairs / 2;  // pairs / 2: a patch's distance from itself
#pragma unroll
    for (int j = 0; j < per_thread; ++j) {
      const int m = static_cast<int>(key) + at.column(j);
      if (n >= tokens || m >= tokens) continue;
      const int distance = n > 0 && m > 0 ? own - relative.from_first(m) : pairs + (n > 0 ? 1 : m > 0 ? 0 : 2);
      scores[i][j] = fmaf(scale, scores[i][j], bias[distance * relative.stride]);
    }
  }
}

// Scores of keys that are not there.
__device__ __forceinline__ void mask(const Place& at, int64_t first_key, int64_t tokens, Scores& scores) {
#pragma unroll
  for (int j = 0; j < per_thread; ++j)
    if (first_key + at.column(j) >= tokens)
#pragma unroll
      for (int i = 0; i < per_thread; ++i) scores[i][j] = -INFINITY;
}

}  // namespace shear::cuda
