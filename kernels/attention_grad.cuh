// The gradient of attention at queries, keys and values, tile by tile, without atomics.
//
//   dV = P' dO;  dP = dO V';  dS = P (dP - rowsum(P dP)) scale;  dQ = dS K;  dK = dS' Q
//
// Three launches.  The first finds each row's sum of P dP (and the softmax's maximum and sum where they must be found
// anew); the second, a block to 32 queries, gathers dQ over the keys; the third, a block to 32 keys, gathers dK and dV
// over the queries.  P is made again from the scores wherever it is not given.
//
// Bytes moved, for each of B N H D: the least for all three is to read qkv and dO and write dqkv once, 28, and 4 for
// each probability that is given.  Of one launch it is what that one must see; counted is more, for the tiles that a
// block does not own are read ceil(N / 32) = 7 times, all but the first time from the L2 cache:
//   from the log-sum-exp        dots 16.1, counted 65.3   dQ 20.1, counted 70.4   dK, dV 24.1, counted 102.4
//   from given probabilities    dots 20.4, counted 55.4   dQ 28.4, counted 88.4   dK, dV 32.4, counted 92.4
//   with relative positions     dots 16.2, counted 85.2   dQ 20.2, counted 90.2   dK, dV 24.2, counted 122.2
// Products: 9 of N N D a head, where 5 are the least with atomics and 7 without: a sum of P dP found beside the
// context's would save two, but the context is not handed to us.
//
// The gradient of relative positions is the sum of dS, without the scale, over the images and over all pairs of tokens
// of a distance: two launches more, and two products.  The fourth, a block to 32 queries and 32 keys of a head, sums
// over the images, in their order: there is an N x N matrix to a head, but none to an image.  The fifth, a warp to a
// distance, sums over the pairs.  For two images 22.4, counted 145.9, and 6.3, counted 50, which no more images add to.
#pragma once
#include "kernels/attention_tiles.cuh"

namespace shear::cuda {

namespace {

constexpr int distance_threads = 128;

// Where probabilities come from.
enum class From { given, log_sum_exp, anew };

struct Known {
  const float* probabilities;  // given: rows of p_stride
  int64_t p_stride;
  const float* log_sum_exp;  // log_sum_exp: a row of lse_stride to a head
  int64_t lse_stride;
  float *maxima, *inverses;  // anew: one of each for a row of scores
  float* dots;               // rowsum(P dP)
};

struct Inputs {
  const float* qkv;
  int64_t stride;
  const float* up;  // dO
  int64_t up_stride;
};

// scores -> probabilities, in place, by what is left of the scale; zero where there is no such query or key.
template <From F>
__device__ __forceinline__ void probabilities_of(const Place& at, const Head& g, const Known& known, float left,
                                                 int64_t index, int64_t query, int64_t key, Scores& s) {
#pragma unroll
  for (int i = 0; i < per_thread; ++i) {
    const int64_t n = query + at.row(i), row = index * g.tokens + n;
    const bool there = n < g.tokens;
    float a = 0, b = 0, c = 1;
    if (F == From::log_sum_exp && there) b = known.log_sum_exp[index * known.lse_stride + n];
    if (F == From::anew && there) a = known.maxima[row], c = known.inverses[row];
#pragma unroll
    for (int j = 0; j < per_thread; ++j) {
      const int64_t m = key + at.column(j);
      if (!there || m >= g.tokens)
        s[i][j] = 0;
      else if (F == From::given)
        s[i][j] = known.probabilities[row * known.p_stride + m];
      else {
        const float log_p = left * (s[i][j] - a) - b;
        s[i][j] = expf(log_p > 0 ? 0.f : log_p) * c;  // no more than one, whatever was lost of scores of 1e15
      }
    }
  }
}

// p becomes dS.
__device__ __forceinline__ void score_gradient(const Place& at, const Head& g, const Known& known, float scale,
                                               int64_t index, int64_t query, const Scores& dp, Scores& p) {
#pragma unroll
  for (int i = 0; i < per_thread; ++i) {
    const int64_t n = query + at.row(i);
    const float dot = n < g.tokens ? known.dots[index * g.tokens + n] : 0.f;
#pragma unroll
    for (int j = 0; j < per_thread; ++j) p[i][j] *= (dp[i][j] - dot) * scale;
  }
}

template <int D, From F, bool R>
__global__ void __launch_bounds__(attention_threads)
    dots_kernel(Head g, int tiles, float scale, Relative relative, Inputs in, Known known) {
  float* const q = reinterpret_cast<float*>(dyn_smem);
  float* const up = q + TileOf<D>::floats;
  float* const kv = up + TileOf<D>::floats;
  const Place at;
  const float left = R ? 1.f : scale;
  const int64_t index = blockIdx.x / tiles, first = int64_t{tile} * (blockIdx.x % tiles);
  if (F != From::given) load_tile<D>(in.qkv + g.offset(index, 0, in.stride), in.stride, g, first, q);
  load_tile<D>(in.up + g.offset(index, 0, in.up_stride), in.up_stride, g, first, up);
  Online rows[per_thread];
  float dots[per_thread] = {};
  for (int64_t key = 0; key < g.tokens; key += tile) {
    Scores p, dp;
    load_tile<D>(in.qkv + g.offset(index, 2, in.stride), in.stride, g, key, kv);
    __syncthreads();
    multiply_transposed<D>(at, up, kv, dp);
    __syncthreads();
    if (F != From::given) {
      load_tile<D>(in.qkv + g.offset(index, 1, in.stride), in.stride, g, key, kv);
      __syncthreads();
      multiply_transposed<D>(at, q, kv, p);
      __syncthreads();
    }
    if (R && F != From::given) add_relative(at, g, relative, scale, index, first, key, p);
    if (F == From::anew) {
      mask(at, key, g.tokens, p);
#pragma unroll
      for (int i = 0; i < per_thread; ++i) dots[i] *= rows[i].take(p[i], left);
    } else {
      probabilities_of<F>(at, g, known, left, index, first, key, p);
    }
#pragma unroll
    for (int i = 0; i < per_thread; ++i)
#pragma unroll
      for (int j = 0; j < per_thread; ++j) dots[i] = fmaf(p[i][j], dp[i][j], dots[i]);
  }
#pragma unroll
  for (int i = 0; i < per_thread; ++i) {
    const float dot = row_reduce(dots[i], Add<float>{});
    const float inverse = F == From::anew ? 1.f / rows[i].sum : 1.f;
    const int64_t n = first + at.row(i), row = index * g.tokens + n;
    if (at.x != 0 || n >= g.tokens) continue;
    known.dots[row] = dot * inverse;
    if (F == From::anew) known.maxima[row] = rows[i].max, known.inverses[row] = inverse;
  }
}

template <int D, From F, bool R>
__global__ void __launch_bounds__(attention_threads, R ? 4 : 0)
    query_grad_kernel(Head g, int tiles, float scale, Relative relative, Inputs in, Known known, float* dqkv,
                      int64_t dqkv_stride) {
  float* const q = reinterpret_cast<float*>(dyn_smem);
  float* const up = q + TileOf<D>::floats;
  float* const kv = up + TileOf<D>::floats;
  float* const ds = kv + TileOf<D>::floats;
  const Place at;
  const float left = R ? 1.f : scale;
  const int64_t index = blockIdx.x / tiles, first = int64_t{tile} * (blockIdx.x % tiles);
  if (F != From::given) load_tile<D>(in.qkv + g.offset(index, 0, in.stride), in.stride, g, first, q);
  load_tile<D>(in.up + g.offset(index, 0, in.up_stride), in.up_stride, g, first, up);
  Sums<D> sums;
  clear(sums);
  for (int64_t key = 0; key < g.tokens; key += tile) {
    Scores p, dp;
    load_tile<D>(in.qkv + g.offset(index, 2, in.stride), in.stride, g, key, kv);
    __syncthreads();
    multiply_transposed<D>(at, up, kv, dp);
    __syncthreads();  // the values were read: the keys take their place
    load_tile<D>(in.qkv + g.offset(index, 1, in.stride), in.stride, g, key, kv);
    __syncthreads();
    if (F != From::given) multiply_transposed<D>(at, q, kv, p);
    if (R && F != From::given) add_relative(at, g, relative, scale, index, first, key, p);
    probabilities_of<F>(at, g, known, left, index, first, key, p);
    score_gradient(at, g, known, scale, index, first, dp, p);
    store_scores(at, p, ds);
    __syncthreads();
    add_product<D, false>(at, ds, kv, sums);
    __syncthreads();
  }
  store_sums<D>(at, sums, g, first, dqkv_stride, dqkv + g.offset(index, 0, dqkv_stride));
}

template <int D, From F, bool R>
__global__ void __launch_bounds__(attention_threads)
    key_value_grad_kernel(Head g, int tiles, float scale, Relative relative, Inputs in, Known known, float* dqkv,
                          int64_t dqkv_stride) {
  float* const k = reinterpret_cast<float*>(dyn_smem);
  float* const v = k + TileOf<D>::floats;
  float* const other = v + TileOf<D>::floats;  // queries, or dO
  float* const turned = other + TileOf<D>::floats;
  const Place at;
  const float left = R ? 1.f : scale;
  const int64_t index = blockIdx.x / tiles, first = int64_t{tile} * (blockIdx.x % tiles);
  if (F != From::given) load_tile<D>(in.qkv + g.offset(index, 1, in.stride), in.stride, g, first, k);
  load_tile<D>(in.qkv + g.offset(index, 2, in.stride), in.stride, g, first, v);
  Sums<D> dk, dv;
  clear(dk);
  clear(dv);
  for (int64_t query = 0; query < g.tokens; query += tile) {
    Scores p, dp;
    if (F != From::given) {
      load_tile<D>(in.qkv + g.offset(index, 0, in.stride), in.stride, g, query, other);
      __syncthreads();
      multiply_transposed<D>(at, other, k, p);
      __syncthreads();
    }
    if (R && F != From::given) add_relative(at, g, relative, scale, index, query, first, p);
    probabilities_of<F>(at, g, known, left, index, query, first, p);
    store_scores(at, p, turned);
    load_tile<D>(in.up + g.offset(index, 0, in.up_stride), in.up_stride, g, query, other);
    __syncthreads();
    multiply_transposed<D>(at, other, v, dp);
    add_product<D, true>(at, turned, other, dv);
    __syncthreads();
    score_gradient(at, g, known, scale, index, query, dp, p);
    store_scores(at, p, turned);
    load_tile<D>(in.qkv + g.offset(index, 0, in.stride), in.stride, g, query, other);
    __syncthreads();
    add_product<D, true>(at, turned, other, dk);
    __syncthreads();
  }
  store_sums<D>(at, dk, g, first, dqkv_stride, dqkv + g.offset(index, 1, dqkv_stride));
  store_sums<D>(at, dv, g, first, dqkv_stride, dqkv + g.offset(index, 2, dqkv_stride));
}

// The sums over images of dS / scale, for 32 queries and 32 keys of a head: (H, N, N).
template <int D, From F>
__global__ void __launch_bounds__(attention_threads, 4)
    score_sums_kernel(Head g, int tiles, int images, float scale, Relative relative, Inputs in, Known known,
                      float* sums) {
  float* const q = reinterpret_cast<float*>(dyn_smem);
  float* const up = q + TileOf<D>::floats;
  float* const kv = up + TileOf<D>::floats;
  const Place at;
  const int64_t head = blockIdx.x / tiles, query = int64_t{tile} * (blockIdx.x % tiles);
  const int64_t key = int64_t{tile} * blockIdx.y;
  in.up += g.offset(head, 0, in.up_stride);  // those of the image
  in.qkv += g.offset(head, 0, in.stride);
  const int64_t part = g.heads * g.width;
  Scores sum;
  clear(sum);
  for (int64_t index = head; index < images * g.heads; index += g.heads) {
    Scores p, dp;
    if (F != From::given) {
      load_tile<D>(in.qkv, in.stride, g, query, q);
      load_tile<D>(in.qkv + part, in.stride, g, key, kv);
      __syncthreads();
      multiply_transposed<D>(at, q, kv, p);
      __syncthreads();
      add_relative(at, g, relative, scale, head, query, key, p);
    }
    probabilities_of<F>(at, g, known, 1.f, index, query, key, p);
    load_tile<D>(in.up, in.up_stride, g, query, up);
    load_tile<D>(in.qkv + 2 * part, in.stride, g, key, kv);
    __syncthreads();
    multiply_transposed<D>(at, up, kv, dp);
    __syncthreads();
    score_gradient(at, g, known, 1.f, index, query, dp, p);
#pragma unroll
    for (int i = 0; i < per_thread; ++i)
#pragma unroll
      for (int j = 0; j < per_thread; ++j) sum[i][j] += p[i][j];
    in.up += g.tokens * in.up_stride;
    in.qkv += g.tokens * in.stride;
  }
#pragma unroll
  for (int i = 0; i < per_thread; ++i) {
    const int64_t n = query + at.row(i);
#pragma unroll
    for (int j = 0; j < per_thread; ++j)
      if (const int64_t m = key + at.column(j); n < g.tokens && m < g.tokens)
        sums[(head * g.tokens + n) * g.tokens + m] = sum[i][j];
  }
}

// The sum over the pairs of tokens of a distance, of a head: to = sum + beta to.
__global__ void __launch_bounds__(distance_threads)
    relative_sums_kernel(Head g, Relative relative, const float* sums, float beta, float* to, int64_t to_stride) {
  const int distances = relative.pairs() + 3, across = relative.across;
  const int64_t warp = (int64_t{blockIdx.x} * distance_threads + threadIdx.x) / 32;
  const int lane = threadIdx.x % 32;
  if (warp >= distances * g.heads) return;
  const int64_t head = warp / distances;
  const int distance = static_cast<int>(warp % distances), of_class = distance - relative.pairs();
  const float* const of_head = sums + head * g.tokens * g.tokens;
  float sum = 0;
  if (of_class < 0) {
    // The query's row and column less the key's: queries are where the key lies on the grid too.
    const int rows = distance / (2 * across - 1) - (relative.down - 1),
              columns = distance % (2 * across - 1) - (across - 1);
    const int high = relative.down - (rows < 0 ? -rows : rows), wide = across - (columns < 0 ? -columns : columns);
    for (int i = lane; i < high * wide; i += 32) {
      const int row = i / wide + (rows > 0 ? rows : 0), column = i % wide + (columns > 0 ? columns : 0);
      const int64_t n = 1 + row * across + column, m = n - rows * across - columns;
      sum += of_head[n * g.tokens + m];
    }
  } else if (of_class < 2) {
    const int64_t step = of_class == 0 ? 1 : g.tokens;  // along the class token's row, or its column
    for (int64_t i = 1 + lane; i < g.tokens; i += 32) sum += of_head[i * step];
  } else if (lane == 0) {
    sum = of_head[0];
  }
  sum = warp_sum(sum);
  if (lane != 0) return;
  float& into = to[distance * to_stride + head];
  into = beta == 0 ? sum : fmaf(beta, into, sum);
}

}  // namespace

}  // namespace shear::cuda
