// A matrix asleep, as packers see it: what they are given, and how what they leave is laid out.  Codes are in code.h.
// And weights asleep, as optimizers see them.
#pragma once
#include <bit>
#include <cstdint>

#include "shear/api.h"
#include "shear/code.h"
#include "shear/random.h"
#include "shear/view.h"

namespace SHEAR_API shear {

// Offset and scale of codes that share them, a bf16 each.  Rounded outwards: none of their values lies below the first
// code or above the last, so that what is rounded at random is right in the mean.
struct CodeRange {
  uint16_t offset_bits, scale_bits;

  constexpr float offset() const { return std::bit_cast<float>(uint32_t{offset_bits} << 16); }
  constexpr float scale() const { return std::bit_cast<float>(uint32_t{scale_bits} << 16); }
};
// Nan stays nan; what lies beyond the range of bf16 is infinite.
constexpr uint16_t bf16_not_above(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  if (x != x) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits >> 16) + (x < 0 && (bits & 0xffffu) != 0 ? 1 : 0));
}
constexpr CodeRange code_range(float low, float high, float last_code) {
  CodeRange range{bf16_not_above(low), 0};
  range.scale_bits = static_cast<uint16_t>(bf16_not_above(-((high - range.offset()) / last_code)) ^ 0x8000u);
  return range;
}

// Without a mask every value is there, row by row.  With one, of each sample's sample_rows rows the `kept` largest
// magnitudes are (f32 or f16), and a set bit says where; ties go to the lowest index, row by row.  Where a row is
// `parts` tensors side by side (the queries, keys and values of one linear), each part of each sample has its own
// `kept` largest: values are (samples, parts, kept), in row order, and each part of a row begins a new mask word.
//
// Affine codes lie row by row, low bits first, each row from a byte of its own.  What maps them back is a pair for each
// row, or, with a `group` (of code_groups), one for each column of so many rows after another.  The channels of a
// transformer differ in size, by orders of magnitude, and a channel's values at neighbouring tokens hardly do: such a
// pair spans little, and so is the error, in the small channels too.  Compare KIVI (Liu et al. 2024), on keys.
struct PackedView {
  Code code = Code::f32;
  int64_t rows = 0, cols = 0, sample_rows = 0, kept = 0, parts = 1, group = 0;
  void* values = nullptr;
  uint32_t* bits = nullptr;       // (rows, parts, mask_words()) or null: no mask
  float* affine = nullptr;        // (rows, 2): offset and scale of the codes, or null
  CodeRange* of_group = nullptr;  // (groups(), cols) in place of it, where there is a group

  bool masked() const { return bits != nullptr; }
  int64_t groups() const { return group > 0 ? (rows + group - 1) / group : 0; }  // of rows
  int64_t part_cols() const { return cols / parts; }
  int64_t mask_words() const { return (part_cols() + 31) / 32; }        // of one part of one row
  int64_t row_bytes() const { return (cols * bits_of(code) + 7) / 8; }  // of a row without a mask
};

// What is packed: x, or its chosen rows, or its chosen columns, gathered on the way; or the slope of a function there;
// or all of x less a row of each sample.
struct PackSource {
  ConstView x;
  const int32_t* row_index = nullptr;  // on the device, like the data
  // (groups, cols): rows_per_group rows after another have a choice of their own
  const int32_t* column_index = nullptr;
  int64_t rows_per_group = 0;           // 0: one choice for all rows
  const StreamKey* rounding = nullptr;  // codes are rounded at random, without bias; null: to the nearest
  Slope slope = Slope::none;            // slopes have a fixed grid, see slope_grid
  ConstView shift{};                    // (samples, columns of x), off each of a sample's sample_rows rows; or none
  int64_t sample_rows = 0;
};

// -- Weights --------------------------------------------------------------------------------------------------------
// A parameter's values: f32, or bf16 alone, or bf16 and in `fine` (u8) eight bits more, f32 but for its last eight.
struct WeightView {
  View value;
  View fine;           // as many elements; or none
  StreamKey rounding;  // an update of short ones is rounded up or down at random, right in the mean

  WeightView(View values, View behind = {}, const StreamKey& how = {}) : value(values), fine(behind), rounding(how) {}
  int64_t elements() const { return value.elements(); }
  bool awake() const { return value.dtype == DType::f32; }
};

// The first 24 bits of an f32.  `coarse` is the bf16 next to it (a tie away from zero), so that who reads that alone
// reads what a product in bf16 would round to; `fine` says, as a signed number, how far it is from there.
struct SplitWeight {
  uint16_t coarse;
  uint8_t fine;
};
// x's bits and `up`, which is below what is to be cut off: a number at random, or for the nearest what half_up says.
constexpr uint32_t bits_raised(float x, uint32_t up) {
  const auto bits = std::bit_cast<uint32_t>(x);
  return x == x ? bits + up : bits | 0x400000u;  // nan stays nan
}
// Ties to even.
constexpr uint32_t half_up(float x, int cut) {
  return (uint32_t{1} << (cut - 1)) - 1 + (std::bit_cast<uint32_t>(x) >> cut & 1u);
}
constexpr SplitWeight split_weight(float x, uint32_t up) {
  const uint32_t bits = bits_raised(x, up) >> 8;
  return {static_cast<uint16_t>((bits + 0x80u) >> 8), static_cast<uint8_t>(bits)};
}
constexpr float joined_weight(uint16_t coarse, uint8_t fine) {
  const auto off = static_cast<uint32_t>(static_cast<int32_t>(static_cast<int8_t>(fine)));
  return std::bit_cast<float>(((uint32_t{coarse} << 8) + off) << 8);
}
constexpr uint16_t short_weight(float x, uint32_t up) { return static_cast<uint16_t>(bits_raised(x, up) >> 16); }
constexpr float joined_weight(uint16_t coarse) { return std::bit_cast<float>(uint32_t{coarse} << 16); }

}  // namespace shear
