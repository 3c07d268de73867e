// Chosen rows and columns: gathered, and put back where they came from; and how much is in each column.
#include <cstring>

#include "backends/cpu/column_sums.h"
#include "backends/cpu/cpu_backend.h"

namespace shear::cpu {

void CpuBackend::gather_rows(ConstView x, ConstView index, ConstView scale, View out) {
  const int32_t* from = index.row<int32_t>(0);
#pragma omp parallel for num_threads(threads_) schedule(static) if (out.elements() > 16384)
  for (int64_t r = 0; r < out.rows; ++r) {
    const float *row = x.row(from[r]), factor = scale.row(0)[r];
    float* to = out.row(r);
#pragma omp simd
    for (int64_t c = 0; c < out.cols; ++c) to[c] = factor * row[c];
  }
}

void CpuBackend::scatter_columns(ConstView x, ConstView index, ConstView scale, float beta, View out) {
  const int32_t* to = index.row<int32_t>(0);
  const float* factor = scale.row(0);
#pragma omp parallel for num_threads(threads_) schedule(static) if (out.elements() > 16384)
  for (int64_t r = 0; r < out.rows; ++r) {
    float* row = out.row(r);
    const float* from = x.row(r);
    if (beta == 0) std::memset(row, 0, static_cast<size_t>(out.cols) * sizeof(float));
    for (int64_t c = 0; c < x.cols; ++c)
      if (factor[c] != 0) row[to[c]] = factor[c] * from[c] + (beta == 0 ? 0.f : beta * row[to[c]]);
  }
}

void CpuBackend::column_square_sums(ConstView x, View out) {
  add_up_columns(
      threads_, x, [](float v) { return v * v; }, 0, out);
}

}  // namespace shear::cpu
