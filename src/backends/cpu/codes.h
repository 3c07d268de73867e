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
// With a range of their own for each `group` values, see PackedView.
void encode_groups(const float* x, int64_t n, int bits, int64_t group, const StreamKey* stream, int64_t row,
                   uint8_t* codes, CodeRange* ranges);

// Where zero has a code it comes back as zero.
void decode_row(const uint8_t* codes, int64_t n, int bits, Affine, float* out);
void decode_groups(const uint8_t* codes, int64_t n, int bits, int64_t group, const CodeRange* ranges, float* out);

}  // namespace shear::cpu
