// Sums down the columns of a matrix, launched: one pass over ranges of rows, and one over what they left.
#pragma once
#include <algorithm>

#include "backends/cuda/launch.h"
#include "kernels/column_sums.cuh"
#include "shear/view.h"

namespace shear::cuda {

// out[c] = sum of f(x[r, c]) over the rows + beta * out[c].  partial: room for `floats` partial sums.
template <class F>
void add_up_columns(On on, F f, ConstView x, float beta, View out, float* partial, int64_t floats) {
  constexpr int64_t most_ranges = 128, least_rows = 64;
  const dim3 block(sum_columns, sum_rows);
  const auto run = [&](auto g, ConstView from, int64_t ranges, float keep, float* to, int64_t stride) {
    dim3 grid = blocks_for(x.cols, sum_columns, x.cols);
    grid.y = static_cast<unsigned>(ranges);
    const int64_t range = (from.rows + ranges - 1) / ranges;
    launch(sum_columns_kernel<decltype(g)>, grid, block, 0, on, g, from.rows, from.cols, range, from.row(0),
           from.stride, keep, to, stride);
  };
  const int64_t room = x.cols == 0 ? 1 : floats / x.cols;
  const int64_t ranges = std::max<int64_t>(1, std::min({x.rows / least_rows, room, most_ranges}));
  if (ranges == 1) return run(f, x, 1, beta, out.row(0), 0);
  run(f, x, ranges, 0, partial, x.cols);
  run(AsIs{}, ConstView(partial, ranges, x.cols, x.cols), 1, beta, out.row(0), 0);
}

}  // namespace shear::cuda
