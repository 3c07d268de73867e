// A matrix asleep, as packers see it: what they are given, and how what they leave is laid out.  Codes are in code.h.
#pragma once
#include <cstdint>

#include "shear/api.h"
#include "shear/code.h"
#include "shear/random.h"
#include "shear/view.h"

namespace SHEAR_API shear {

// Without a mask every value is there, row by row.  With one, of each sample's sample_rows rows the `kept` largest
// magnitudes are (f32 or f16), and a set bit says where; ties go to the lowest index, row by row.  Where a row is
// `parts` tensors side by side (the queries, keys and values of one linear), each part of each sample has its own
// `kept` largest: values are (samples, parts, kept), in row order, and each part of a row begins a new mask word.
struct PackedView {
  Code code = Code::f32;
  int64_t rows = 0, cols = 0, sample_rows = 0, kept = 0, parts = 1;
  void* values = nullptr;
  uint32_t* bits = nullptr;  // (rows, parts, mask_words()) or null: no mask
  float* affine = nullptr;   // (rows, 2): offset and scale of the codes, or null

  bool masked() const { return bits != nullptr; }
  int64_t part_cols() const { return cols / parts; }
  int64_t mask_words() const { return (part_cols() + 31) / 32; }        // of one part of one row
  int64_t row_bytes() const { return (cols * bits_of(code) + 7) / 8; }  // of a row without a mask
};

// What is packed: x, or its chosen rows, or its chosen columns, gathered on the way; or the slope of a function there.
struct PackSource {
  ConstView x;
  const int32_t* row_index = nullptr;  // on the device, like the data
  // (groups, cols): rows_per_group rows after another have a choice of their own
  const int32_t* column_index = nullptr;
  int64_t rows_per_group = 0;           // 0: one choice for all rows
  const StreamKey* rounding = nullptr;  // codes are rounded at random, without bias; null: to the nearest
  Slope slope = Slope::none;            // slopes have a fixed grid, see slope_grid
};

}  // namespace shear
