// What is packed, as a kernel reads it: the rows of a matrix, or of a choice of its rows or columns, or less a row of
// their sample, or a slope there.
#pragma once
#include "kernels/gelu.cuh"
#include "shear/packed.h"

namespace shear::cuda {

__device__ __forceinline__ float slope_of(Slope slope, float x) {
  if (slope == Slope::none) return x;
  if (slope == Slope::gelu_quick) return sigmoid_gate_slope(x, quick_factor);
  return slope == Slope::gelu ? gelu_slope(x) : gelu_tanh_slope(x);
}

struct SourceRow {
  const float* x;
  const int32_t* index;  // of its columns, or null: all of them
  const float* shift;    // taken off, of all columns; or null
  Slope slope;

  // Without the slope: kernels first read some values, all on their way at once, and then take their slopes.
  __device__ __forceinline__ float raw(int64_t c) const {
    const float v = x[index ? index[c] : c];
    return shift ? v - shift[c] : v;
  }
  __device__ __forceinline__ float at(int64_t c) const { return slope_of(slope, raw(c)); }
};

struct Source {
  const float* x;
  int64_t stride;
  const int32_t *row_index, *column_index;
  int64_t cols;
  uint32_t rows_per_group, sample_rows;
  Slope slope;
  const float* shift;
  int64_t shift_stride;

  Source(const PackSource& s, int64_t chosen)
      : x(s.x.row(0)),
        stride(s.x.stride),
        row_index(s.row_index),
        column_index(s.column_index),
        cols(chosen),
        rows_per_group(static_cast<uint32_t>(s.rows_per_group)),
        sample_rows(static_cast<uint32_t>(s.sample_rows)),
        slope(s.slope),
        shift(s.shift.row(0)),
        shift_stride(s.shift.stride) {}

  __device__ __forceinline__ SourceRow row(int64_t r) const {
    const int64_t group = rows_per_group > 0 ? static_cast<uint32_t>(r) / rows_per_group : 0;
    return {x + (row_index ? row_index[r] : r) * stride, column_index ? column_index + group * cols : nullptr,
            shift ? shift + static_cast<uint32_t>(r) / sample_rows * shift_stride : nullptr, slope};
  }
};

}  // namespace shear::cuda
