// Contractions: what a gradient computes with a saved value, in whatever form it woke.
#pragma once
#include "shear/tape.h"

namespace shear {

// Rows that a value which does not sleep dense is unpacked, remade or gathered at a time. A multiple of the depth that
// the CPU's GEMM accumulates over at once: a sum over bands then has the bits of the sum over the whole.
inline constexpr int64_t band_rows = 1152;

// dw = dy^T x + beta * dw.   dy (M, out), x (M, in), dw (out, in).
void weight_grad(Backward&, const Kept& x, const Tensor& dy, const Tensor& dw, float beta);

// The same for an x that `fill(first_row, View band)` makes, a band at a time.
template <class Fill>
void banded_weight_grad(Backward& bw, int64_t rows, int64_t cols, ConstView dy, View dw, float beta, Fill fill) {
  const Tensor band = bw.scratch({std::min(band_rows, rows), cols});
  for (int64_t first = 0; first < rows; first += band_rows) {
    const int64_t n = std::min(band_rows, rows - first);
    const View part = View(band).band(0, n);
    fill(first, part);
    bw.run().gemm(Transposed::yes, dy.band(first, n), Transposed::no, part, first == 0 ? beta : 1.f, dw);
  }
}

}  // namespace shear
