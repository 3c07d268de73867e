// Optimizer updates: one pass over a parameter, its gradient and its state.
#include <cmath>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/pieces.h"
#include "shear/error.h"

namespace shear::cpu {

namespace {

// update(i) for every element, or for those in active columns.
template <class Update>
void each(int threads, View w, ConstView active, Update update) {
  const int64_t n = w.elements(), cols = w.cols;
  if (!active.data) {
    pieces(threads, 1, n, [=](int64_t, int64_t first, int64_t count) {
#pragma omp simd
      for (int64_t i = first; i < first + count; ++i) update(i);
    });
    return;
  }
  require(active.elements() == cols, "optimizer: ", active.elements(), " flags for ", cols, " columns");
  const float* on = active.row(0);
#pragma omp parallel for num_threads(threads) schedule(static) if (n > worth_threads)
  for (int64_t r = 0; r < w.rows; ++r)
    for (int64_t c = 0; c < cols; ++c)
      if (on[c] != 0) update(r * cols + c);
}

}  // namespace

void CpuBackend::sgd(const SgdStep& s, View w, ConstView g, View velocity, ConstView active) {
  require(w.elements() == g.elements() && w.elements() == velocity.elements(), "sgd: sizes differ");
  float *weight = w.row(0), *v = velocity.row(0);
  const float* gradient = g.row(0);
  each(threads_, w, active, [=](int64_t i) {
    const float d = gradient[i] * s.gradient_scale + s.weight_decay * weight[i];
    v[i] = s.momentum * v[i] + d;
    weight[i] -= s.lr * (s.nesterov ? d + s.momentum * v[i] : v[i]);
  });
}

void CpuBackend::adamw(const AdamWStep& s, View w, ConstView g, View first, View second, ConstView active) {
  require(w.elements() == g.elements() && w.elements() == first.elements() && w.elements() == second.elements(),
          "adamw: sizes differ");
  float *weight = w.row(0), *m = first.row(0), *v = second.row(0);
  const float* gradient = g.row(0);
  const float step = s.lr / s.correction1, root = 1.f / std::sqrt(s.correction2);
  each(threads_, w, active, [=](int64_t i) {
    const float d = gradient[i] * s.gradient_scale;
    m[i] = s.beta1 * m[i] + (1.f - s.beta1) * d;
    v[i] = s.beta2 * v[i] + (1.f - s.beta2) * d * d;
    weight[i] -= s.lr * s.weight_decay * weight[i];
    weight[i] -= step * m[i] / (std::sqrt(v[i]) * root + s.epsilon);
  });
}

}  // namespace shear::cpu
