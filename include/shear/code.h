// How values are written while they sleep.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "shear/api.h"

namespace SHEAR_API shear {

// Whole, as f16 or bf16, or as affine codes of 8, 4, 3 or 2 bits.
enum class Code : uint8_t { f32, f16, u8, u4, u3, u2, bf16 };
inline constexpr std::array all_codes{Code::f32, Code::f16, Code::u8, Code::u4, Code::u3, Code::u2, Code::bf16};

// What a packer does with a value.
enum class Scheme : uint8_t {
  floats,  // f32, as it is
  halves,  // IEEE's 16 bits
  brains,  // bf16: f32 without its low half
  affine,  // offset + scale * code, a pair per row or per column of a group of rows
};

struct CodeFormat {
  Scheme scheme;
  int bits;
  bool masks;    // whether some values alone can be there, with a mask
  bool by_bits;  // whether it is what a user means who asks for so many bits
};
// A new code has its line here.  Who goes by its scheme has a switch that does not compile without it.
constexpr CodeFormat format_of(Code c) {
  switch (c) {
    case Code::f32:
      return {Scheme::floats, 32, true, true};
    case Code::f16:
      return {Scheme::halves, 16, true, true};
    case Code::bf16:
      return {Scheme::brains, 16, false, false};
    case Code::u8:
      return {Scheme::affine, 8, false, true};
    case Code::u4:
      return {Scheme::affine, 4, false, true};
    case Code::u3:
      return {Scheme::affine, 3, false, true};
    case Code::u2:
      return {Scheme::affine, 2, false, true};
  }
  return {};
}
constexpr int bits_of(Code c) { return format_of(c).bits; }

// Rows that may share a pair of offset and scale in each column, where not each row has one.
inline constexpr std::array<int, 4> code_groups{32, 64, 128, 256};
inline constexpr int usual_code_group = 64;

// A function whose slope at x can be packed in place of x.
enum class Slope : uint8_t { none, gelu, gelu_tanh, gelu_quick };
// The affine map of a slope's codes.  Slopes lie between -0.13 and 1.13; 0 and 1 are exact but in 2 bits, whose
// grid is fitted: of least square error where inputs are normal, of mean -0.9 and deviation 1.1 (those of a DINOv2
// ViT-S), or of mean 0 and deviation 1.  Four levels of any spacing would be 2 % better.  Compare ReGELU2.
struct SlopeGrid {
  float offset, scale;
};
constexpr SlopeGrid slope_grid(Code c) {
  switch (c) {
    case Code::u8:
      return {-26.f / 200, 1.f / 200};  // -0.13 ... 1.145
    case Code::u4:
      return {-2.f / 12, 1.f / 12};  // -0.17 ... 1.08
    case Code::u3:
      return {-1.f / 6, 1.f / 6};  // ... 1
    case Code::u2:
      return {-0.06f, 0.33f};
    case Code::f32:
    case Code::f16:
    case Code::bf16:
      break;  // need none
  }
  return {0.f, 1.f};
}

}  // namespace shear
