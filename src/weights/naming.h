// What the tensors of a ViT are called and how they lie in each source's files, as tables.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "shear/models/vit.h"
#include "shear/weights.h"
#include "weights/colours.h"

namespace shear {

// How a source's tensor lies, as seen from ours: what is done to it on the way here.
enum class Layout : uint8_t {
  as_is,
  row,           // (D) -> (1, 1, D): CLIP's class token
  rows,          // (N, D) -> (1, N, D): CLIP's positions
  transposed,    // (in, out) -> (out, in): flax's Dense
  conv,          // (H, W, in, out) -> (out, in, H, W)
  heads_out,     // (D, heads, D / heads) -> (heads * D / heads, D): flax's query, key and value
  heads_bias,    // (heads, D / heads) -> (D)
  heads_joined,  // (heads, D / heads, D) -> (D, heads * D / heads): flax's projection behind attention
};

// One tensor of a source and the parameter that it is, or is a part of.  In `source`, '~' stands for the naming's
// prefix,
// '^' for it or nothing, '#' for a block's number, '?' for a digit, '*' for "weight" or "bias" (also in `ours`), and
// '%' for "_" and a block's number, or for nothing: one tensor then holds all blocks, along a leading axis.  The first
// rule that fits holds; of rules that take a share of the tensor's rows, all.  Where `ours` is empty, the library has
// the tensor and the logits do not depend on it.
enum class Share : uint8_t { whole, first_third, other_thirds };
struct Rule {
  std::string_view source, ours;
  Layout layout = Layout::as_is;
  int part = -1, parts = 3;  // in rows of the parameter: query, key, value
  Share share = Share::whole;
  bool is_alias = false;  // read and not written
};

// A way to call the tensors of a ViT, and what its library does where no file beside the weights says otherwise.
struct Naming {
  std::string_view name;  // for people
  std::span<const std::string_view> prefixes;
  std::string_view anchor;      // a name behind the prefix that every file has, and ends as no other
  std::span<const Rule> rules;  // in the order in which a file of this naming is written
  float epsilon = 1e-6f;
  GeluForm gelu = GeluForm::exact;
  Interpolation interpolation = Interpolation::bicubic;
  Fit fit = Fit::shorter;
  Halves halves = Halves::even;
  std::array<float, 3> mean = half_each, std = half_each;
  PositionResize positions = PositionResize::bicubic_antialias;
  std::optional<Pool> pool{};           // none: as the names say
  std::optional<LastNorm> last_norm{};  // none: as the names say
  size_t least = 1;            // tensors that a file of this naming has, where the anchor alone is in others too
  std::string_view guessed{};  // what is taken for granted though files of this naming differ in it
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

// The pattern with '~', '^', '#' and '*' filled in.
std::string spell(std::string_view pattern, std::string_view prefix, int64_t block, std::string_view star);

// The shape here of a tensor that has `source` there; rank 0 where the layout has another number of dimensions.
Shape shape_here(Layout, const Shape& source);
// The other way round, for the layouts that files are written in: none of flax.
Shape shape_there(Layout, const Shape& ours);

// Lays out the values of a tensor of shape `source`.
void lay_out(Layout, const Shape& source, std::span<const float> from, std::span<float> to);
void lay_back(Layout, const Shape& source, std::span<const float> from, std::span<float> to);  // the other way round

// A square grid of positions behind those of other tokens: of all that there are, of the class token, or of none.  side
// 0: it is none of these.
struct PositionGrid {
  int64_t side = 0, before = 0;
};
PositionGrid position_grid(int64_t positions, int64_t classes, int64_t registers);

}  // namespace shear
