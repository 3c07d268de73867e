// How a value sleeps between forward and backward: the forms in which it wakes, and the verdicts that choose them.
//
// Forms are closed: every consumer must know each, and the compiler lists what a new one must fill.  Policies are
// open: see policy.h.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "shear/backend.h"

namespace shear {

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
  Tensor values;                                                     // rows * row_bytes, or (samples, parts, kept)
  Tensor bits;    // (rows, parts, ceil(cols / parts / 32)) U32, a set bit: kept; empty: all of them
  Tensor affine;  // (rows, 2): offset and scale of u8, u4, u2 codes

  PackedView view() const {
    return {
        code, rows, cols, sample_rows, kept, parts, values.data<void>(), bits.data<uint32_t>(), affine.data<float>()};
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

// 1 << the index in Kept
enum class Form : uint8_t { dense = 1, recomputed = 2, packed = 4, columns = 8, rows = 16, slopes = 32 };
inline Form form_of(const Kept& k) { return static_cast<Form>(1u << k.index()); }

// What a consumer can open.  Dense is always welcome.
class Forms {
 public:
  constexpr Forms(Form f) : bits_(static_cast<uint8_t>(static_cast<uint8_t>(f) | 1)) {}
  constexpr bool has(Form f) const { return (bits_ & static_cast<uint8_t>(f)) != 0; }
  friend constexpr Forms operator|(Forms a, Forms b) {
    Forms both = a;
    both.bits_ = static_cast<uint8_t>(a.bits_ | b.bits_);
    return both;
  }

 private:
  uint8_t bits_;
};
constexpr Forms operator|(Form a, Form b) { return Forms(a) | Forms(b); }

// How many of n a share keeps: at least one.
inline int64_t share_of(double share, int64_t n) {
  return std::clamp<int64_t>(static_cast<int64_t>(std::ceil(share * static_cast<double>(n) - 1e-9)), 1, n);
}

// -- Verdicts: what a policy may answer -----------------------------------------------------------------------------
struct Keep {};       // dense; under Precision::bf16 packed as bf16, where the op opens that
struct Recompute {    // by the value's recipe
  bool exact = true;  // only if its sources sleep exact; else also from lossy ones
};
struct Pack {
  double keep = 1;  // share of each sample's values that is kept, the largest magnitudes; 1: all, no mask
  Code code = Code::f16;
  bool stochastic = false;  // codes rounded at random, without bias
};
struct TopColumns {  // the columns of largest norm
  double keep;
  Code code = Code::f16;
};
// The policy's draw; spans need only live until the next question.  A scale of 0 fills up: its column counts nothing.
struct SampleColumns {
  std::span<const int32_t> index;  // (groups, columns kept), ascending in each group; none: nothing is kept at all
  std::span<const float> scale;
  Pack inside;
  int64_t groups = 1;  // of images, in batch order, each ceil(images / groups) of them
};
struct SampleRows {
  std::span<const int32_t> index;
  std::span<const float> scale;
  Pack inside;
};
struct PackSlope {  // the slope of the function that the value goes through, on a fixed grid
  Code code = Code::u4;
};
using Verdict = std::variant<Keep, Recompute, Pack, TopColumns, SampleColumns, SampleRows, PackSlope>;

std::string_view name(const Verdict&);  // "keep", "recompute", "pack", ...
std::string_view name(const Kept&);     // "dense", "recomputed", "packed", ...

// The question that an op puts to the policy, through the tape.
struct SaveRequest {
  std::string_view site, op;                                                 // "blocks.3.mlp.fc1", "linear"
  const Tensor& value;                                                       // still dense: a policy may look
  Forms accepts;                                                             // what this op's backward can open
  const Param* weight;                                                       // whose gradient wants it, or null
  enum class Recipe : uint8_t { none, lossy, exact } recipe = Recipe::none;  // how its sources sleep, where it has one
  int64_t parts = 1;          // tensors side by side in its rows, each pruned by itself
  Slope slope = Slope::none;  // the function that it goes through
};

template <class... F>
struct match : F... {
  using F::operator()...;
};
template <class... F>
match(F...) -> match<F...>;

}  // namespace shear
