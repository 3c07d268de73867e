// Kernels that look at whole rows or columns: LayerNorm, sums, the loss.
#include <omp.h>

#include <algorithm>
#include <cmath>

#include "cpu/cpu_backend.h"
#include "cpu/vector_math.h"

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
inline void normalise(const float* x, float mean, float rstd, const float* gamma, const float* beta, int64_t n,
                      float* y) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - mean) * rstd * gamma[i] + beta[i];
}

// out[c] = sum of f(x[r, c]) over the rows + beta * out[c].  Each thread owns a range of columns and walks down the
// rows: the order of addition is that of the rows.  16 columns to a cache line, four lines at a time.
template <class F>
void add_up_columns(int threads, ConstView x, F f, float beta, View out) {
#pragma omp parallel for num_threads(threads) schedule(static) if (x.elements() > 16384)
  for (int64_t first = 0; first < x.cols; first += 64) {
    const int64_t n = std::min<int64_t>(64, x.cols - first);
    float sums[64] = {};
    for (int64_t r = 0; r < x.rows; ++r) {
      const float* row = x.row(r) + first;
#pragma omp simd
      for (int64_t c = 0; c < n; ++c) sums[c] += f(row[c]);
    }
    float* to = out.row(0) + first;
    for (int64_t c = 0; c < n; ++c) to[c] = beta == 0 ? sums[c] : sums[c] + beta * to[c];
  }
}

}  // namespace

void CpuBackend::column_sums(ConstView x, float beta, View out) {
  add_up_columns(
      threads_, x, [](float v) { return v; }, beta, out);
}

void CpuBackend::column_square_sums(ConstView x, View out) {
  add_up_columns(
      threads_, x, [](float v) { return v * v; }, 0, out);
}

double CpuBackend::sum_squares(ConstView x) {
  std::fill(partial_.begin(), partial_.end(), 0.0);  // there may be fewer threads than asked for
#pragma omp parallel num_threads(threads_)
  {
    const auto [first, count] = slice(x.rows, 1, omp_get_thread_num(), omp_get_num_threads());
    double sum = 0;
    for (int64_t r = first; r < first + count; ++r) {
      const float* row = x.row(r);
      double of_row = 0;
#pragma omp simd reduction(+ : of_row)
      for (int64_t c = 0; c < x.cols; ++c) of_row += static_cast<double>(row[c]) * static_cast<double>(row[c]);
      sum += of_row;
    }
    partial_[static_cast<size_t>(omp_get_thread_num())] = sum;
  }
  double sum = 0;
  for (double p : partial_) sum += p;
  return sum;
}

void CpuBackend::mean(ConstView x, View out) {
  double sum = 0;
  for (int64_t r = 0; r < x.rows; ++r)
    for (int64_t c = 0; c < x.cols; ++c) sum += static_cast<double>(x.row(r)[c]);
  *out.row(0) = static_cast<float>(sum / static_cast<double>(x.elements()));
}

// -- LayerNorm ------------------------------------------------------------------------------------------------------

void CpuBackend::layernorm(ConstView x, ConstView gamma, ConstView beta, float epsilon, View y, View mean, View rstd) {
  const int64_t n = x.cols;
#pragma omp parallel for num_threads(threads_) schedule(static) if (x.elements() > 16384)
  for (int64_t r = 0; r < x.rows; ++r) {
    const float* row = x.row(r);
    const float m = sum2(n, [&](int64_t i) { return RowSums{row[i], 0}; }).a / static_cast<float>(n);
    // A second pass, over a row that is in cache: the squares of what is left do not cancel.
    const float v = sum2(n,
                         [&](int64_t i) {
                           return RowSums{(row[i] - m) * (row[i] - m), 0};
                         })
                        .a /
                    static_cast<float>(n);
    const float s = 1.f / std::sqrt(v + epsilon);
    mean.row(0)[r] = m;
    rstd.row(0)[r] = s;
    normalise(row, m, s, gamma.row(0), beta.row(0), n, y.row(r));
  }
}

void CpuBackend::layernorm_apply(ConstView x, ConstView mean, ConstView rstd, ConstView gamma, ConstView beta, View y) {
#pragma omp parallel for num_threads(threads_) schedule(static) if (x.elements() > 16384)
  for (int64_t r = 0; r < x.rows; ++r)
    normalise(x.row(r), mean.row(0)[r], rstd.row(0)[r], gamma.row(0), beta.row(0), x.cols, y.row(r));
}

int64_t CpuBackend::layernorm_scratch(int64_t cols) const { return 2 * threads_ * ((cols + 15) / 16 * 16); }

// With xh = (x - mean) rstd and g = gamma dy: dx = rstd (g - mean(g) - xh mean(g xh)), dgamma = sum dy xh, dbeta = sum
// dy.
void CpuBackend::layernorm_grad(ConstView x, ConstView mean, ConstView rstd, ConstView gamma, ConstView dy,
                                float beta_dx, View dx, float beta_params, View dgamma, View dbeta, View scratch) {
  const int64_t n = x.cols, padded = (n + 15) / 16 * 16;
  const bool wants_x = dx.data != nullptr, wants_params = dgamma.data != nullptr || dbeta.data != nullptr;
  float* partial = scratch.row(0);  // per thread: dgamma, dbeta
  int used = 1;
#pragma omp parallel num_threads(threads_)
  {
    const int t = omp_get_thread_num();
#pragma omp single
    used = omp_get_num_threads();
    float* its_gamma = partial + 2 * t * padded;
    float* its_beta = its_gamma + padded;
    std::fill_n(its_gamma, 2 * padded, 0.f);
    const auto [first, count] = slice(x.rows, 1, t, used);
    for (int64_t r = first; r < first + count; ++r) {
      const float *row = x.row(r), *up = dy.row(r), *g = gamma.row(0);
      const float m = mean.row(0)[r], s = rstd.row(0)[r];
      if (wants_params) {
#pragma omp simd
        for (int64_t i = 0; i < n; ++i) {
          its_gamma[i] += up[i] * ((row[i] - m) * s);
          its_beta[i] += up[i];
        }
      }
      if (!wants_x) continue;
      const RowSums sums = sum2(n, [&](int64_t i) { return RowSums{g[i] * up[i], g[i] * up[i] * ((row[i] - m) * s)}; });
      const float mean_g = sums.a / static_cast<float>(n), mean_gx = sums.b / static_cast<float>(n);
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
  }
  const auto gather = [&](View out, int64_t offset) {
    if (!out.data) return;
    float* to = out.row(0);
    for (int64_t i = 0; i < n; ++i) {
      float sum = 0;
      for (int t = 0; t < used; ++t) sum += partial[2 * t * padded + offset + i];
      to[i] = beta_params == 0 ? sum : sum + beta_params * to[i];
    }
  };
  gather(dgamma, 0);
  gather(dbeta, padded);
}

// -- Loss -----------------------------------------------------------------------------------------------------------

namespace {

struct Softmax {
  float max, sum;  // of exp(x - max)
};
Softmax softmax_of(const float* x, int64_t n) {
  float max = x[0];
  for (int64_t c = 1; c < n; ++c) max = x[c] > max ? x[c] : max;
  float sum = 0;
  for (int64_t c = 0; c < n; ++c) sum += exp(x[c] - max);
  return {max, sum};
}

}  // namespace

void CpuBackend::cross_entropy(ConstView logits, ConstView labels, float smoothing, View losses) {
  const int64_t n = logits.cols;
  const int32_t* label = static_cast<const int32_t*>(labels.data);
  for (int64_t r = 0; r < logits.rows; ++r) {
    const float* x = logits.row(r);
    const Softmax s = softmax_of(x, n);
    const double log_sum = static_cast<double>(s.max) + std::log(static_cast<double>(s.sum));
    double all = 0;
    for (int64_t c = 0; c < n; ++c) all += static_cast<double>(x[c]);
    const double on = 1.0 - static_cast<double>(smoothing),
                 off = static_cast<double>(smoothing) / static_cast<double>(n);
    losses.row(0)[r] = static_cast<float>(log_sum - on * static_cast<double>(x[label[r]]) - off * all);
  }
}

void CpuBackend::cross_entropy_grad(ConstView logits, ConstView labels, float smoothing, float scale, ConstView dloss,
                                    float beta, View dlogits) {
  const int64_t n = logits.cols;
  const int32_t* label = static_cast<const int32_t*>(labels.data);
  const float up = scale * *dloss.row(0);
  for (int64_t r = 0; r < logits.rows; ++r) {
    const float* x = logits.row(r);
    float* to = dlogits.row(r);
    const Softmax s = softmax_of(x, n);
    for (int64_t c = 0; c < n; ++c) {
      const float target = smoothing / static_cast<float>(n) + (c == label[r] ? 1.f - smoothing : 0.f);
      const float g = up * (exp(x[c] - s.max) / s.sum - target);
      to[c] = beta == 0 ? g : g + beta * to[c];
    }
  }
}

}  // namespace shear::cpu
