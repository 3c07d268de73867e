// What the tensors of a ViT are called and how they lie in each source's files, as tables.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "shear/weights.h"

namespace shear {

// How a source's tensor lies, as seen from ours: what is done to it on the way here.
enum class Layout : uint8_t {
  as_is,
  transposed,    // (in, out) -> (out, in): flax's Dense
  conv,          // (H, W, in, out) -> (out, in, H, W)
  heads_out,     // (D, heads, D / heads) -> (heads * D / heads, D): flax's query, key and value
  heads_bias,    // (heads, D / heads) -> (D)
  heads_joined,  // (heads, D / heads, D) -> (D, heads * D / heads): flax's projection behind attention
};

// One tensor of a source and the parameter that it is, or is a third of.  In `source`, '~' stands for the naming's
// prefix, '#' for a block's number, '?' for a digit, '*' for "weight" or "bias" (also in `ours`), and '%' for "_" and a
// block's number, or for nothing: one tensor then holds all blocks, along a leading axis.  The first rule that fits
// holds.
struct Rule {
  std::string_view source, ours;
  Layout layout = Layout::as_is;
  int part = -1;  // of 3, in rows: query, key, value
};

// A way to call the tensors of a ViT, and what its library does where no file beside the weights says otherwise.
struct Naming {
  std::string_view name;  // for people
  std::span<const std::string_view> prefixes;
  std::string_view anchor;      // a name behind the prefix that every file has, and ends as no other
  std::span<const Rule> rules;  // in the order in which a file of this naming is written
  float epsilon;
  GeluForm gelu;
  Interpolation interpolation;
  Fit fit;
  Halves halves;
  PositionResize positions;
};

extern const Naming timm_naming, hugging_face_naming;
extern const Naming own_naming;  // of no rules: parameters under their own names, as Shear writes them
std::span<const Naming* const> known_namings();

// Whether `name` is `pattern` with this prefix.  `block` becomes the number where there is one, else -1, `stacked`
// where '%' stands for nothing; `star` becomes "weight" or "bias" where there is one.
struct NamePlace {
  int64_t block = -1;
  bool stacked = false;
  std::string_view star;
};
bool matches(std::string_view pattern, std::string_view prefix, std::string_view name, NamePlace&);

// The pattern with '~', '#' and '*' filled in.
std::string spell(std::string_view pattern, std::string_view prefix, int64_t block, std::string_view star);

// The shape here of a tensor that has `source` there; rank 0 where the layout has another number of dimensions.
Shape shape_here(Layout, const Shape& source);

// Lays out the values of a tensor of shape `source`.
void lay_out(Layout, const Shape& source, std::span<const float> from, std::span<float> to);
void lay_back(Layout, const Shape& source, std::span<const float> from, std::span<float> to);  // the other way round

// The side of a square grid of positions, with one for the class token or none; 0: neither.
int64_t grid_side(int64_t positions);

}  // namespace shear
