// LayerNorm, and RMSNorm where nothing is centred: forward, the same again from kept statistics, and its gradient.
#include <algorithm>
#include <cmath>

#include "backends/cpu/column_sums.h"
#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/pieces.h"
#include "backends/cpu/short_types.h"

namespace shear::cpu {

namespace {

struct RowSums {
  float a, b;
};

// (sum of f, sum of g) over a row, vector lanes and all
template <class F>
RowSums sum2(int64_t n, F f) {
  float a = 0, b = 0;
#pragma omp simd reduction(+ : a, b)
  for (int64_t i = 0; i < n; ++i) {
    const RowSums s = f(i);
    a += s.a;
    b += s.b;
  }
  return {a, b};
}

// The one expression for a normalised row: forward and recomputation must agree to the bit.
// beta null: RMSNorm.
inline void normalise(const float* x, float mean, float rstd, const float* gamma, const float* beta, int64_t n,
                      float* y) {
  if (!beta) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] = x[i] * rstd * gamma[i];
    return;
  }
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - mean) * rstd * gamma[i] + beta[i];
}

}  // namespace

void CpuBackend::layernorm(ConstView x, ConstView gamma, ConstView beta, float epsilon, View y, View mean, View rstd) {
  const int64_t n = x.cols;
  const bool rounded = precision_ == Precision::bf16, centred = mean.data != nullptr;
#pragma omp parallel for num_threads(threads_) schedule(static) if (x.elements() > 16384)
  for (int64_t r = 0; r < x.rows; ++r) {
    const float* row = x.row(r);
    if (rounded) {
      round_to_bf16(row, n, y.row(r));
      row = y.row(r);
    }
    const float m = centred ? sum2(n, [&](int64_t i) { return RowSums{row[i], 0}; }).a / static_cast<float>(n) : 0.f;
    // A second pass, over a row that is in cache: the squares of what is left do not cancel.
    const float v = sum2(n,
                         [&](int64_t i) {
                           return RowSums{(row[i] - m) * (row[i] - m), 0};
                         })
                        .a /
                    static_cast<float>(n);
    const float s = 1.f / std::sqrt(v + epsilon);
    if (centred) mean.row(0)[r] = m;
    rstd.row(0)[r] = s;
    normalise(row, m, s, gamma.row(0), beta.row(0), n, y.row(r));
  }
}

void CpuBackend::layernorm_apply(ConstView x, ConstView mean, ConstView rstd, ConstView gamma, ConstView beta, View y) {
#pragma omp parallel for num_threads(threads_) schedule(static) if (x.elements() > 16384)
  for (int64_t r = 0; r < x.rows; ++r)
    normalise(x.row(r), mean.data ? mean.row(0)[r] : 0.f, rstd.row(0)[r], gamma.row(0), beta.row(0), x.cols, y.row(r));
}

// to = f(from, mean, rstd), the one expression that tells standardising from its way back.
template <class F>
static void each_value(int threads, ConstView from, ConstView mean, ConstView rstd, View to, F f) {
#pragma omp parallel for num_threads(threads) schedule(static) if (from.elements() > 16384)
  for (int64_t r = 0; r < from.rows; ++r) {
    const float m = mean.data ? mean.row(0)[r] : 0.f, s = rstd.row(0)[r];
    const float* x = from.row(r);
    float* y = to.row(r);
#pragma omp simd
    for (int64_t i = 0; i < from.cols; ++i) y[i] = f(x[i], m, s);
  }
}

void CpuBackend::layernorm_standardise(ConstView x, ConstView mean, ConstView rstd, View y) {
  each_value(threads_, x, mean, rstd, y, [](float v, float m, float s) { return (v - m) * s; });
}

void CpuBackend::layernorm_unstandardise(ConstView y, ConstView mean, ConstView rstd, View x) {
  each_value(threads_, y, mean, rstd, x, [](float v, float m, float s) { return v / s + m; });
}

namespace {

// The gradients of gamma and beta are sums over rows.  Each stretch of rows is cut into parts, whose sums are added in
// their order: the cuts follow from the rows, not from who works on them.  A caller may hand over a matrix in bands of
// whole stretches.
constexpr int64_t stretch_rows = 1152, most_parts = 32;

// One for every 16 rows, and an even number where there are several, so that two threads have the same to do.
int64_t parts_of(int64_t rows) {
  const int64_t parts = std::min(most_parts, (rows + 15) / 16);
  return parts > 1 ? (parts + 1) / 2 * 2 : parts;
}

}  // namespace

int64_t CpuBackend::layernorm_scratch(int64_t cols) const { return 2 * most_parts * padded(cols); }

// With xh = (x - mean) rstd and g = gamma dy: dx = rstd (g - mean(g) - xh mean(g xh)), dgamma = sum dy xh, dbeta = sum
// dy.  RMSNorm has neither of the means of x and g.
void CpuBackend::layernorm_grad(ConstView x, ConstView mean, ConstView rstd, ConstView gamma, ConstView dy,
                                float beta_dx, View dx, float beta_params, View dgamma, View dbeta, View scratch) {
  const int64_t n = x.cols;
  const bool centred = mean.data != nullptr, wants_x = dx.data != nullptr,
             wants_params = dgamma.data != nullptr || dbeta.data != nullptr;
  const View gammas(scratch.row(0), most_parts, n, 2 * padded(n)),
      betas(gammas.row(0) + padded(n), most_parts, n, 2 * padded(n));  // of each part
  const auto part_grad = [&](int64_t begin, int64_t end, float* its_gamma, float* its_beta) {
    std::fill_n(its_gamma, n, 0.f);
    std::fill_n(its_beta, n, 0.f);
    for (int64_t r = begin; r < end; ++r) {
      const float *row = x.row(r), *up = dy.row(r), *g = gamma.row(0);
      const float m = centred ? mean.row(0)[r] : 0.f, s = rstd.row(0)[r];
      const RowSums sums = sum2(n, [&](int64_t i) {
        const float hat = (row[i] - m) * s;
        its_gamma[i] += up[i] * hat;
        its_beta[i] += up[i];
        return RowSums{g[i] * up[i], g[i] * up[i] * hat};
      });
      if (!wants_x) continue;
      const float mean_g = centred ? sums.a / static_cast<float>(n) : 0.f, mean_gx = sums.b / static_cast<float>(n);
      float* to = dx.row(r);
      if (beta_dx == 0) {
#pragma omp simd
        for (int64_t i = 0; i < n; ++i) to[i] = s * (g[i] * up[i] - mean_g - (row[i] - m) * s * mean_gx);
      } else {
#pragma omp simd
        for (int64_t i = 0; i < n; ++i)
          to[i] = s * (g[i] * up[i] - mean_g - (row[i] - m) * s * mean_gx) + beta_dx * to[i];
      }
    }
  };
#pragma omp parallel num_threads(threads_) if (x.elements() > 16384)
  for (int64_t stretch = 0; stretch == 0 || stretch < x.rows; stretch += stretch_rows) {
    const int64_t rows = std::min(stretch_rows, x.rows - stretch);
    const int64_t parts = parts_of(rows);
#pragma omp for schedule(static)
    for (int64_t p = 0; p < parts; ++p) {
      const auto [first, count] = slice(rows, 1, p, parts);
      part_grad(stretch + first, stretch + first + count, gammas.row(p), betas.row(p));
    }
    if (!wants_params) continue;
    const float beta = stretch == 0 ? beta_params : 1.f;
#pragma omp for schedule(static)
    for (int64_t first = 0; first < n; first += strip) {
      if (dgamma.data) add_up_strip(gammas.band(0, parts), as_it_is, first, beta, dgamma);
      if (dbeta.data) add_up_strip(betas.band(0, parts), as_it_is, first, beta, dbeta);
    }
  }
}

}  // namespace shear::cpu
