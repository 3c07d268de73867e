// Cross entropy.
#include <cmath>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/vector_math.h"

namespace shear::cpu {

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
  const int32_t* label = labels.row<int32_t>(0);
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
  const int32_t* label = labels.row<int32_t>(0);
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

void CpuBackend::count_right(ConstView logits, ConstView labels, float beta, View right) {
  const int32_t* label = labels.row<int32_t>(0);
  int64_t count = 0;
  for (int64_t r = 0; r < logits.rows; ++r) {
    const float* x = logits.row(r);
    const float own = x[label[r]];
    bool first = !std::isnan(own);
    for (int64_t c = 0; c < logits.cols && first; ++c) first = !(x[c] > own || (x[c] == own && c < label[r]));
    count += first;
  }
  float& to = *right.row(0);
  to = static_cast<float>(count) + (beta == 0 ? 0 : beta * to);
}

}  // namespace shear::cpu
