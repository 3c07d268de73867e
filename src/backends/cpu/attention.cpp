// Tiled multi-head attention: a thread takes one head of one image, and walks over its queries in tiles.
//
// A tile of queries against all keys is `tile` rows of N scores, in the caches of one core; the N x N matrix is never
// whole.  Heads are strided views into the packed (B, N, 3, H, D) tensor: nothing is transposed or copied.
//
// A bias by relative positions is never whole either: each row of scores reads it from the table, of which a head has
// some kilobytes.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <optional>

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

int64_t tiles_scratch(const HeadGrid& g, int threads) { return threads * 2 * query_rows(g.tokens) * padded(g.tokens); }

// The table of relative positions, turned over for each head: from its last pair of patches to its first.  What a query
// adds to its scores of a row of patches then lies side by side, and so do the sums of their gradients.
class RelativeRows {
 public:
  RelativeRows(const HeadGrid& g, ConstView table, float* room)
      : across_(g.across), down_(g.down()), pairs_(g.distances() - 3), all_(g.distances()), room_(room) {
    for (int64_t i = 0; i < all_; ++i)
      for (int64_t h = 0; h < g.heads; ++h) room_[h * all_ + turned(i)] = table.row(i)[h];
  }
  int64_t turned(int64_t i) const { return i < pairs_ ? pairs_ - 1 - i : i; }
  int64_t all() const { return all_; }

  // s = scale * s + bias, the row of scores of a query.
  void add(int64_t head, int64_t query, float scale, float* s) const {
    const float* bias = room_ + head * all_;
    s[0] = scale * s[0] + bias[pairs_ + (query == 0 ? 2 : 1)];
    if (query == 0) {
#pragma omp simd
      for (int64_t c = 1; c <= down_ * across_; ++c) s[c] = scale * s[c] + bias[pairs_];
      return;
    }
    each_row(query, [&](int64_t key, int64_t first) {
#pragma omp simd
      for (int64_t c = 0; c < across_; ++c) s[key + c] = scale * s[key + c] + bias[first + c];
    });
  }
  // sums += ds by distance, of a query's row.
  void gather(int64_t query, const float* ds, float* sums) const {
    sums[pairs_ + (query == 0 ? 2 : 1)] += ds[0];
    if (query == 0) {
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t c = 1; c <= down_ * across_; ++c) sum += ds[c];
      sums[pairs_] += sum;
      return;
    }
    each_row(query, [&](int64_t key, int64_t first) {
#pragma omp simd
      for (int64_t c = 0; c < across_; ++c) sums[first + c] += ds[key + c];
    });
  }

 private:
  // f(key, first): the first key of each row of patches, and where its distance from the query stands.
  template <class F>
  void each_row(int64_t query, F f) const {
    const int64_t r = (query - 1) / across_, c = (query - 1) % across_;
    for (int64_t row = 0; row < down_; ++row)
      f(1 + row * across_, (down_ - 1 - r + row) * (2 * across_ - 1) + across_ - 1 - c);
  }

  int64_t across_, down_, pairs_, all_;
  float* room_;
};

}  // namespace

int64_t CpuBackend::attention_scratch(const HeadGrid& g) const {
  return tiles_scratch(g, threads_) + (g.across > 0 ? g.heads * g.distances() : 0);
}
// The sums of each head of each image, which do not depend on the thread that has it.
int64_t CpuBackend::relative_scratch(const HeadGrid& g) const { return g.batch * g.heads * g.distances(); }

void CpuBackend::attention(const HeadGrid& g, ConstView qkv, ConstView relative, View context, View log_sum_exp,
                           View probabilities, View scratch) {
  const int64_t n = g.tokens, stride = padded(n), rows = query_rows(n);
  std::optional<RelativeRows> bias;
  if (relative.data) bias.emplace(g, relative, scratch.row(0) + tiles_scratch(g, threads_));
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
        if (bias) bias->add(index % g.heads, first + r, scale, p.row(r));
        const float lse = softmax_row(p.row(r), n, bias ? 1.f : scale);
        if (log_sum_exp.data) log_sum_exp.row(index)[first + r] = lse;
      }
      gemm_serial(Transposed::no, p, Transposed::no, head.v, 0, out.band(first, count), {}, pack);
    }
  }
}

// dV = P' dO;  dP = dO V';  dS = P (dP - rowsum(P dP));  dQ = dS K scale;  dK = dS' Q scale.
void CpuBackend::attention_grad(const HeadGrid& g, ConstView qkv, ConstView relative, ConstView log_sum_exp,
                                ConstView probabilities, ConstView dcontext, View dqkv, float beta, View drelative,
                                View scratch) {
  const int64_t n = g.tokens, stride = padded(n), rows = query_rows(n);
  const float scale = 1.f / std::sqrt(static_cast<float>(g.width));
  std::optional<RelativeRows> bias;
  if (relative.data) bias.emplace(g, relative, scratch.row(0) + tiles_scratch(g, threads_));
  const float left = bias ? 1.f : scale;                      // to be done with scores
  float* const sums = scratch.row(0) + attention_scratch(g);  // where drelative is wanted
#pragma omp parallel for num_threads(threads_) schedule(static)
  for (int64_t index = 0; index < g.batch * g.heads; ++index) {
    const int t = omp_get_thread_num();
    PackBuffer& pack = packs_[static_cast<size_t>(t)];
    const Head head = head_of(g, qkv, index);
    const int64_t b = index / g.heads, h = index % g.heads;
    const ConstView up(dcontext.row(b * n) + h * g.width, n, g.width, dcontext.stride);
    float* const of_head = sums + index * (bias ? bias->all() : 0);
    if (drelative.data) std::fill_n(of_head, bias->all(), 0.f);
    const View dq = slice_of(g, dqkv, index, 0), dk = slice_of(g, dqkv, index, 1), dv = slice_of(g, dqkv, index, 2);
    for (int64_t first = 0; first < n; first += rows) {
      const int64_t count = std::min(rows, n - first);
      const float tile_beta = first == 0 ? 0.f : 1.f;
      float* mine = scratch.row(0) + t * 2 * rows * stride;
      const View room(mine, count, n, stride), d(mine + rows * stride, count, n, stride);
      const ConstView q = head.q.band(first, count), o = up.band(first, count);
      const ConstView p = probabilities.data ? probabilities.band(index * n + first, count) : ConstView(room);
      if (!probabilities.data) gemm_serial(Transposed::no, q, Transposed::yes, head.k, 0, room, {}, pack);
      gemm_serial(Transposed::no, o, Transposed::yes, head.v, 0, d, {}, pack);
      for (int64_t r = 0; r < count; ++r) {
        float *s = room.row(r), *dp = d.row(r);
        if (bias && !probabilities.data) bias->add(h, first + r, scale, s);
        if (log_sum_exp.data) {
          const float lse = log_sum_exp.row(index)[first + r];
#pragma omp simd
          for (int64_t c = 0; c < n; ++c) {
            const float log_p = left * s[c] - lse;
            s[c] = exp(log_p > 0 ? 0.f : log_p);  // no more than one, whatever was lost of scores of 1e15
          }
        } else if (!probabilities.data) {
          softmax_row(s, n, left);
        }
        const float* known = p.row(r);
        float dot = 0;
#pragma omp simd reduction(+ : dot)
        for (int64_t c = 0; c < n; ++c) dot += known[c] * dp[c];
#pragma omp simd
        for (int64_t c = 0; c < n; ++c) dp[c] = known[c] * (dp[c] - dot) * scale;
        if (drelative.data) bias->gather(first + r, dp, of_head);
      }
      gemm_serial(Transposed::yes, p, Transposed::no, o, tile_beta, dv, {}, pack);
      gemm_serial(Transposed::yes, d, Transposed::no, q, tile_beta, dk, {}, pack);
      gemm_serial(Transposed::no, d, Transposed::no, head.k, 0, dq.band(first, count), {}, pack);
    }
  }
  if (!drelative.data) return;
#pragma omp parallel for num_threads(threads_) schedule(static)
  for (int64_t h = 0; h < g.heads; ++h) {
    float* sum = sums + h * bias->all();  // the first image's, to which those of the others are added in their order
    for (int64_t b = 1; b < g.batch; ++b) {
      const float* more = sums + (b * g.heads + h) * bias->all();
#pragma omp simd
      for (int64_t i = 0; i < bias->all(); ++i) sum[i] += more[i];
    }
    for (int64_t i = 0; i < bias->all(); ++i) {
      float& to = drelative.row(i)[h];
      to = sum[bias->turned(i)] / scale + (beta == 0 ? 0.f : beta * to);
    }
  }
}

}  // namespace shear::cpu
