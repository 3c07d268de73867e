// Contractions: what a gradient computes with a saved value, in whatever form it woke.
#pragma once
#include <algorithm>

#include "shear/backend.h"
#include "shear/tape.h"

namespace shear {

// Rows that a value which does not sleep dense is unpacked, remade or gathered at a time. A multiple of the depth that
// the CPU's GEMM accumulates over at once: a sum over bands then has the bits of the sum over the whole.
inline constexpr int64_t band_rows = 1152;
// Images whose pruned queries, keys and values are awake at a time.
inline constexpr int64_t images_at_once = 8;

// dw = dy^T x + beta * dw.   dy (M, out), x (M, in), dw (out, in).  Columns and Rows do only their share of the work.
void weight_grad(Backward&, const Kept& x, const Tensor& dy, View dw, float beta);

// Rows of a value that sleeps in full width, as LayerNorm and GELU took them: under bf16 one that did not sleep so is
// rounded into `room`.
ConstView rows_as_taken(Backward&, const Kept&, int64_t first_row, View room);

// f(first_row, n, x) over a value that sleeps in full width, as it was taken: at once if it lies there as it was, else
// bands of at most `band` rows.
template <class F>
void each_band(Backward& bw, const Kept& x, int64_t rows, int64_t cols, int64_t band, F f) {
  if (const auto* dense = std::get_if<Dense>(&x); dense && bw.run().precision() == Precision::f32)
    return f(int64_t{0}, rows, ConstView(dense->values));
  Tensor room = bw.scratch({std::min(band, rows), cols});
  for (int64_t first = 0; first < rows; first += band) {
    const int64_t n = std::min(band, rows - first);
    f(first, n, rows_as_taken(bw, x, first, View(room).band(0, n)));
  }
}

}  // namespace shear
