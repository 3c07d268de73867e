// How a value sleeps between forward and backward: the forms in which it wakes.
//
// Forms are closed: every consumer must know each, and the compiler lists what a new one must fill.  The verdicts that
// choose them are in verdict.h.
#pragma once
#include <string_view>
#include <variant>

#include "shear/api.h"
#include "shear/packed.h"
#include "shear/tensor.h"
#include "shear/verdict.h"

namespace SHEAR_API shear {

// -- Forms ----------------------------------------------------------------------------------------------------------
struct Dense {  // the value itself
  Tensor values;
};
struct Recomputed {  // nothing: made again, a band of rows at a time, from values that sleep anyway
  int recipe;
  int64_t rows, cols;
};
// Every row and column, in a short code, or only the largest magnitudes of each sample: the others read as zero.
struct Packed {
  Code code = Code::f32;
  int64_t rows = 0, cols = 0, sample_rows = 0, kept = 0, parts = 1;  // kept: values per sample and part
  int64_t group = 0;
  int centred = -1;  // of the parts, the one that lacks its mean over the rows of each sample
  Tensor values;     // rows * row_bytes, or (samples, parts, kept)
  Tensor bits;       // (rows, parts, ceil(cols / parts / 32)) U32, a set bit: kept; empty: all of them
  Tensor affine;     // of u8, u4, u3, u2 codes: (rows, 2) F32, offset and scale; with a group (groups, cols, 2) BF16

  PackedView view() const {
    const bool grouped = group > 0;
    return {code,
            rows,
            cols,
            sample_rows,
            kept,
            parts,
            group,
            values.data<void>(),
            bits.data<uint32_t>(),
            grouped ? nullptr : affine.data<float>(),
            grouped ? affine.data<CodeRange>() : nullptr};
  }
};
// Some columns; the others were never stored.  Each group of rows_per_group rows has a choice of its own.
struct Columns {
  int64_t cols = 0, rows_per_group = 0;
  Packed chosen;  // (rows, columns kept)
  Tensor index;   // (groups, columns kept) I32, ascending in each group
  Tensor scale;   // 1 / p of each: what makes the estimate unbiased
};
struct Rows {  // the same along tokens
  int64_t rows = 0;
  Packed chosen;  // (index.elements(), cols)
  Tensor index, scale;
};
struct Slopes {  // not the value, but the slope there of the function that it went through
  Packed codes;
};
using Kept = std::variant<Dense, Recomputed, Packed, Columns, Rows, Slopes>;

// Form is 1 << the index.
inline Form form_of(const Kept& k) { return static_cast<Form>(1u << k.index()); }

std::string_view name(const Kept&);  // "dense", "recomputed", "packed", ...

}  // namespace shear
