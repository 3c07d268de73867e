// Sums down columns, along rows and over everything.
#include <algorithm>

#include "backends/cpu/column_sums.h"
#include "backends/cpu/cpu_backend.h"

namespace shear::cpu {

void CpuBackend::column_sums(ConstView x, float beta, View out) { add_up_columns(threads_, x, as_it_is, beta, out); }

void CpuBackend::sum_squares(ConstView x, float beta, View out) {
  double sum = 0;
  for (int64_t first = 0; first < x.rows; first += rows_at_once) {
    const int64_t rows = std::min<int64_t>(rows_at_once, x.rows - first);
#pragma omp parallel for num_threads(threads_) schedule(static) if (rows * x.cols > 16384)
    for (int64_t r = 0; r < rows; ++r) {
      const float* row = x.row(first + r);
      double of_row = 0;
#pragma omp simd reduction(+ : of_row)
      for (int64_t c = 0; c < x.cols; ++c) of_row += static_cast<double>(row[c]) * static_cast<double>(row[c]);
      row_sums_[static_cast<size_t>(r)] = of_row;
    }
    for (int64_t r = 0; r < rows; ++r) sum += row_sums_[static_cast<size_t>(r)];
  }
  double& to = *out.row<double>(0);
  to = beta == 0 ? sum : sum + static_cast<double>(beta) * to;
}

void CpuBackend::mean(ConstView x, View out) {
  double sum = 0;
  for (int64_t r = 0; r < x.rows; ++r)
    for (int64_t c = 0; c < x.cols; ++c) sum += static_cast<double>(x.row(r)[c]);
  *out.row(0) = static_cast<float>(sum / static_cast<double>(x.elements()));
}

void CpuBackend::row_dots(ConstView a, ConstView b, float beta, View out) {
#pragma omp parallel for num_threads(threads_) schedule(static) if (a.elements() > 16384)
  for (int64_t r = 0; r < a.rows; ++r) {
    const float *p = a.row(r), *q = b.row(r);
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < a.cols; ++c) sum += static_cast<double>(p[c]) * static_cast<double>(q[c]);
    float& to = out.row(0)[r];
    to = static_cast<float>(sum) + (beta == 0 ? 0 : beta * to);
  }
}

}  // namespace shear::cpu
