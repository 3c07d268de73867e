// What is packed, row by row: the rows of a matrix, or of a choice of its rows or columns, or less a row of their
// sample, or a slope there.
#pragma once
#include "backends/cpu/gelu_slope.h"
#include "shear/packed.h"

namespace shear::cpu {

class Source {
 public:
  Source(const PackSource& s, int64_t cols) : s_(s), cols_(cols) {}

  // n values of row r from column `first`; in the buffer, unless they stand in x as they are.
  const float* row(int64_t r, int64_t first, int64_t n, float* buffer) const {
    const float* x = s_.x.row(s_.row_index ? s_.row_index[r] : r);
    if (!s_.column_index) {
      x += first;
      if (s_.shift.data) {
        const float* off = s_.shift.row(r / s_.sample_rows) + first;
#pragma omp simd
        for (int64_t c = 0; c < n; ++c) buffer[c] = x[c] - off[c];
        x = buffer;
      }
      if (s_.slope == Slope::none) return x;
    } else {
      const int64_t group = s_.rows_per_group > 0 ? r / s_.rows_per_group : 0;
      const int32_t* index = s_.column_index + group * cols_ + first;
      for (int64_t c = 0; c < n; ++c) buffer[c] = x[index[c]];
      x = buffer;
    }
    if (s_.slope == Slope::gelu) {
#pragma omp simd
      for (int64_t c = 0; c < n; ++c) buffer[c] = gelu_slope(x[c]);
    } else if (s_.slope == Slope::gelu_tanh) {
#pragma omp simd
      for (int64_t c = 0; c < n; ++c) buffer[c] = gelu_tanh_slope(x[c]);
    } else if (s_.slope == Slope::gelu_quick) {
#pragma omp simd
      for (int64_t c = 0; c < n; ++c) buffer[c] = sigmoid_gate_slope(x[c], quick_factor);
    }
    return buffer;
  }

 private:
  const PackSource& s_;
  int64_t cols_;
};

// One part of one sample.
struct Block {
  const Source& from;
  int64_t first_row, rows, first_col, cols;
  float* buffer;  // of `cols` floats

  int64_t elements() const { return rows * cols; }
  const float* row(int64_t r) const { return from.row(first_row + r, first_col, cols, buffer); }
};

}  // namespace shear::cpu
