// Values as affine codes of 8, 4, 3 or 2 bits: offset + scale * code.  Low bits come first.
#pragma once
#include <cstdint>

#include "shear/packed.h"
#include "shear/random.h"

namespace shear::cpu {

inline constexpr int64_t drawn = 64;  // values whose roundings are drawn together: 16 bits of 8 Philox blocks
// At least n numbers in (0, 1), in steps of 2^-16, whose mean is a half; up to a multiple of `drawn`.
void draw(const StreamKey&, uint32_t first_block, int64_t n, float* out);
void draw_halves(const StreamKey&, uint32_t first_block, int64_t n, uint32_t* out);  // as whole numbers below 2^16

struct Affine {
  float offset, scale;
};

Affine range_of(const float* x, int64_t n, int bits);  // from the smallest to the largest value

// To the nearest code; with a stream up or down at random, so that the expectation is the value itself.
// `row` says which of the stream's numbers.
void encode_row(const float* x, int64_t n, int bits, Affine, const StreamKey* stream, int64_t row, uint8_t* codes);

// Columns that are coded together, from one that is a multiple of so many on.
inline constexpr int64_t strip_cols = 256;
// What the rows of a group share, for the columns of a strip, see PackedView.
class StripRanges {
 public:
  explicit StripRanges(int64_t cols);

  void widen(const float* x);                // to hold a row's values
  void settle(int bits, CodeRange* ranges);  // when they hold all, before any row is encoded
  // `first` is where the strip begins in row `row`, which has `row_cols` columns.
  void encode_row(const float* x, int bits, const StreamKey* stream, int64_t row, int64_t first, int64_t row_cols,
                  uint8_t* codes) const;

 private:
  int64_t cols_;
  float low_[strip_cols], high_[strip_cols];  // once settled: the offset, and one over the scale
};

// Where zero has a code it comes back as zero.
void decode_row(const uint8_t* codes, int64_t n, int bits, Affine, float* out);
void decode_row(const uint8_t* codes, int64_t n, int bits, const CodeRange* ranges, float* out);  // one a column

}  // namespace shear::cpu
