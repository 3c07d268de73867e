// Attention of one query over the tokens of each sequence: a thread takes one head of one of them.
#include <algorithm>
#include <cmath>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/pieces.h"
#include "backends/cpu/softmax.h"

namespace shear::cpu {

namespace {

float dot(const float* a, const float* b, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

// to += s * x
void add_scaled(float s, const float* x, int64_t n, float* to) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) to[i] += s * x[i];
}

void set_scaled(float s, const float* x, int64_t n, float* to) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) to[i] = s * x[i];
}

// One head of one sequence.
struct Head {
  const float* query;
  ConstView keys, values;  // (N - first, width)
  int64_t row, column;     // of the sequence, and of the head in it

  Head(const HeadGrid& g, int64_t first, ConstView queries, ConstView kv, int64_t index)
      : row(index / g.heads), column(index % g.heads * g.width) {
    query = queries.row(0) + column;
    const float* base = kv.row(row * g.tokens + first) + column;
    keys = {base, g.tokens - first, g.width, kv.stride};
    values = {base + g.model(), g.tokens - first, g.width, kv.stride};
  }
  void probabilities(float scale, float* p) const {
    for (int64_t n = 0; n < keys.rows; ++n) p[n] = dot(query, keys.row(n), keys.cols);
    softmax_row(p, keys.rows, scale);
  }
};

}  // namespace

int64_t CpuBackend::attention_pool_scratch(const HeadGrid& g) const { return g.batch * g.heads * 2 * padded(g.tokens); }

void CpuBackend::attention_pool(const HeadGrid& g, int64_t first, ConstView query, ConstView kv, View context,
                                View scratch) {
  const float scale = 1.f / std::sqrt(static_cast<float>(g.width));
#pragma omp parallel for num_threads(threads_) schedule(static)
  for (int64_t index = 0; index < g.batch * g.heads; ++index) {
    const Head head(g, first, query, kv, index);
    float *p = scratch.row(0) + index * 2 * padded(g.tokens), *to = context.row(head.row) + head.column;
    head.probabilities(scale, p);
    std::fill_n(to, g.width, 0.f);
    for (int64_t n = 0; n < head.values.rows; ++n) add_scaled(p[n], head.values.row(n), g.width, to);
  }
}

// dv = p dO;  dp = dO v;  ds = p (dp - sum(p dp)) scale;  dq = sum(ds k);  dk = ds q.
void CpuBackend::attention_pool_grad(const HeadGrid& g, int64_t first, ConstView query, ConstView kv,
                                     ConstView dcontext, View dquery, View dkv, View scratch) {
  const float scale = 1.f / std::sqrt(static_cast<float>(g.width));
#pragma omp parallel for num_threads(threads_) schedule(static)
  for (int64_t index = 0; index < g.batch * g.heads; ++index) {
    const Head head(g, first, query, kv, index);
    float *p = scratch.row(0) + index * 2 * padded(g.tokens), *d = p + padded(g.tokens);
    const float* up = dcontext.row(head.row) + head.column;
    head.probabilities(scale, p);
    for (int64_t n = 0; n < head.values.rows; ++n) d[n] = dot(up, head.values.row(n), g.width);
    const float sum = dot(p, d, head.values.rows);
    float* dq = dquery.row(head.row) + head.column;
    std::fill_n(dq, g.width, 0.f);
    for (int64_t n = 0; n < first; ++n) {
      float* dk = dkv.row(head.row * g.tokens + n) + head.column;
      std::fill_n(dk, g.width, 0.f);
      std::fill_n(dk + g.model(), g.width, 0.f);
    }
    for (int64_t n = 0; n < head.values.rows; ++n) {
      const float ds = p[n] * (d[n] - sum) * scale;
      float* dk = dkv.row(head.row * g.tokens + first + n) + head.column;
      set_scaled(ds, head.query, g.width, dk);
      set_scaled(p[n], up, g.width, dk + g.model());
      add_scaled(ds, head.keys.row(n), g.width, dq);
    }
  }
}

}  // namespace shear::cpu
