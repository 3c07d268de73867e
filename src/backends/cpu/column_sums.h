// Sums down the columns of a matrix, a strip of columns at a time, in the order of the rows.
#pragma once
#include <type_traits>

#include "shear/view.h"

namespace shear::cpu {

inline constexpr int64_t strip = 64;  // columns: 16 to a cache line, four lines at a time

// out[c] = sum of f(x[r, c]) over the rows + beta * out[c], in the order of the rows, for `n` columns from `first`.
template <class F, class Count>
void add_up(ConstView x, F f, int64_t first, Count n, float beta, View out) {
  float sums[strip] = {};
  for (int64_t r = 0; r < x.rows; ++r) {
    const float* row = x.row(r) + first;
#pragma omp simd
    for (int64_t c = 0; c < n; ++c) sums[c] += f(row[c]);
  }
  float* to = out.row(0) + first;
  for (int64_t c = 0; c < n; ++c) to[c] = beta == 0 ? sums[c] : sums[c] + beta * to[c];
}

template <class F>
void add_up_strip(ConstView x, F f, int64_t first, float beta, View out) {
  if (x.cols - first >= strip)
    add_up(x, f, first, std::integral_constant<int64_t, strip>{}, beta, out);  // its sums stay in registers
  else
    add_up(x, f, first, x.cols - first, beta, out);
}

template <class F>
void add_up_columns(int threads, ConstView x, F f, float beta, View out) {
#pragma omp parallel for num_threads(threads) schedule(static) if (x.elements() > 16384)
  for (int64_t first = 0; first < x.cols; first += strip) add_up_strip(x, f, first, beta, out);
}

inline constexpr auto as_it_is = [](float v) { return v; };

}  // namespace shear::cpu
