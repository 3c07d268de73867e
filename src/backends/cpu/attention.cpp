// Tiled multi-head attention: a thread takes one head of one image, and walks over its queries in tiles.
//
// A tile of queries against all keys is `tile` rows of N scores, in the caches of one core; the N x N matrix is never
// whole.  Heads are strided views into the packed (B, N, 3, H, D) tensor: nothing is transposed or copied.
#include <omp.h>

#include <cmath>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/pieces.h"
#include "backends/cpu/softmax.h"
#include "backends/cpu/vector_math.h"

namespace shear::cpu {

namespace {

constexpr int64_t tile = 64;  // queries, at most

// As few tiles as that allows, and none of them a remainder.
int64_t query_rows(int64_t tokens) {
  const int64_t tiles = (tokens + tile - 1) / tile;
  return (tokens + tiles - 1) / tiles;
}

struct Head {
  ConstView q, k, v;  // (N, width)
};
Head head_of(const HeadGrid& g, ConstView qkv, int64_t index) {
  const int64_t b = index / g.heads, h = index % g.heads, stride = qkv.stride;
  const float* base = qkv.row(b * g.tokens) + h * g.width;
  return {{base, g.tokens, g.width, stride},
          {base + g.model(), g.tokens, g.width, stride},
          {base + 2 * g.model(), g.tokens, g.width, stride}};
}
View slice_of(const HeadGrid& g, View x, int64_t index, int64_t part) {  // part 0, 1, 2 of a packed tensor
  const int64_t b = index / g.heads, h = index % g.heads;
  return {x.row(b * g.tokens) + h * g.width + part * g.model(), g.tokens, g.width, x.stride};
}

}  // namespace

int64_t CpuBackend::attention_scratch(const HeadGrid& g) const {
  return threads_ * 2 * query_rows(g.tokens) * padded(g.tokens);
}

void CpuBackend::attention(const HeadGrid& g, ConstView qkv, View context, View log_sum_exp, View probabilities,
                           View scratch) {
  const int64_t n = g.tokens, stride = padded(n), rows = query_rows(n);
  const float scale = 1.f / std::sqrt(static_cast<float>(g.width));
#pragma omp parallel for num_threads(threads_) schedule(static)
  for (int64_t index = 0; index < g.batch * g.heads; ++index) {
    const int t = omp_get_thread_num();
    PackBuffer& pack = packs_[static_cast<size_t>(t)];
    const Head head = head_of(g, qkv, index);
    const View out = slice_of(g, context, index, 0);
    for (int64_t first = 0; first < n; first += rows) {
      const int64_t count = std::min(rows, n - first);
      const View p = probabilities.data ? probabilities.band(index * n + first, count)
                                        : View(scratch.row(0) + t * 2 * rows * stride, count, n, stride);
      gemm_serial(Transposed::no, head.q.band(first, count), Transposed::yes, head.k, 0, p, {}, pack);
      for (int64_t r = 0; r < count; ++r) {
        const float lse = softmax_row(p.row(r), n, scale);
        if (log_sum_exp.data) log_sum_exp.row(index)[first + r] = lse;
      }
      gemm_serial(Transposed::no, p, Transposed::no, head.v, 0, out.band(first, count), {}, pack);
    }
  }
}

// dV = P' dO;  dP = dO V';  dS = P (dP - rowsum(P dP));  dQ = dS K scale;  dK = dS' Q scale.
void CpuBackend::attention_grad(const HeadGrid& g, ConstView qkv, ConstView log_sum_exp, ConstView probabilities,
                                ConstView dcontext, View dqkv, View scratch) {
  const int64_t n = g.tokens, stride = padded(n), rows = query_rows(n);
  const float scale = 1.f / std::sqrt(static_cast<float>(g.width));
#pragma omp parallel for num_threads(threads_) schedule(static)
  for (int64_t index = 0; index < g.batch * g.heads; ++index) {
    const int t = omp_get_thread_num();
    PackBuffer& pack = packs_[static_cast<size_t>(t)];
    const Head head = head_of(g, qkv, index);
    const int64_t b = index / g.heads, h = index % g.heads;
    const ConstView up(dcontext.row(b * n) + h * g.width, n, g.width, dcontext.stride);
    const View dq = slice_of(g, dqkv, index, 0), dk = slice_of(g, dqkv, index, 1), dv = slice_of(g, dqkv, index, 2);
    for (int64_t first = 0; first < n; first += rows) {
      const int64_t count = std::min(rows, n - first);
      const float beta = first == 0 ? 0.f : 1.f;
      float* mine = scratch.row(0) + t * 2 * rows * stride;
      const View room(mine, count, n, stride), d(mine + rows * stride, count, n, stride);
      const ConstView q = head.q.band(first, count), o = up.band(first, count);
      const ConstView p = probabilities.data ? probabilities.band(index * n + first, count) : ConstView(room);
      if (!probabilities.data) gemm_serial(Transposed::no, q, Transposed::yes, head.k, 0, room, {}, pack);
      gemm_serial(Transposed::no, o, Transposed::yes, head.v, 0, d, {}, pack);
      for (int64_t r = 0; r < count; ++r) {
        float *s = room.row(r), *dp = d.row(r);
        if (log_sum_exp.data) {
          const float lse = log_sum_exp.row(index)[first + r];
#pragma omp simd
          for (int64_t c = 0; c < n; ++c) {
            const float log_p = scale * s[c] - lse;
            s[c] = exp(log_p > 0 ? 0.f : log_p);  // no more than one, whatever was lost of scores of 1e15
          }
        } else if (!probabilities.data) {
          softmax_row(s, n, scale);
        }
        const float* known = p.row(r);
        float dot = 0;
#pragma omp simd reduction(+ : dot)
        for (int64_t c = 0; c < n; ++c) dot += known[c] * dp[c];
#pragma omp simd
        for (int64_t c = 0; c < n; ++c) dp[c] = known[c] * (dp[c] - dot) * scale;
      }
      gemm_serial(Transposed::yes, p, Transposed::no, o, beta, dv, {}, pack);
      gemm_serial(Transposed::yes, d, Transposed::no, q, beta, dk, {}, pack);
      gemm_serial(Transposed::no, d, Transposed::no, head.k, 0, dq.band(first, count), {}, pack);
    }
  }
}

}  // namespace shear::cpu
