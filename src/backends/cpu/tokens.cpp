// Means over the tokens of sequences.
#include "backends/cpu/column_sums.h"
#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/pieces.h"

namespace shear::cpu {

void CpuBackend::mean_tokens(ConstView x, int64_t tokens, int64_t first, View out) {
  const int64_t strips = (out.cols + strip - 1) / strip;
  const float share = 1.f / static_cast<float>(tokens - first);
#pragma omp parallel for num_threads(threads_) schedule(static) if (x.elements() > 16384)
  for (int64_t i = 0; i < out.rows * strips; ++i) {
    const int64_t b = i / strips, left = i % strips * strip;
    const View to = out.band(b, 1);
    add_up_strip(x.band(b * tokens + first, tokens - first), as_it_is, left, 0, to);
    for (int64_t c = left; c < std::min(left + strip, out.cols); ++c) to.row(0)[c] *= share;
  }
}

void CpuBackend::mean_tokens_grad(ConstView dy, int64_t tokens, int64_t first, float beta, View dx) {
  const float share = 1.f / static_cast<float>(tokens - first);
  pieces(threads_, dx.rows, dx.cols, [=](int64_t r, int64_t left, int64_t n) {
    const float* from = dy.row(r / tokens) + left;
    const float s = r % tokens < first ? 0 : share;
    float* to = dx.row(r) + left;
    if (beta == 0) {
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) to[i] = s == 0 ? 0 : s * from[i];
    } else {
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) to[i] = (s == 0 ? 0 : s * from[i]) + beta * to[i];
    }
  });
}

}  // namespace shear::cpu
