// What a memory policy is asked for each value that must live until backward, and what it may answer.
//
// Plain descriptions: who includes this needs no backend, no storage and no op.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "shear/api.h"
#include "shear/code.h"
#include "shear/shape.h"

namespace SHEAR_API shear {

// -- What an op can open ---------------------------------------------------------------------------------------------

// How a value wakes, see saved.h.
enum class Form : uint8_t { dense = 1, recomputed = 2, packed = 4, columns = 8, rows = 16, slopes = 32 };

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
// Dense; under Precision::bf16 packed as bf16, where the op opens that.
struct Keep {
  std::string_view why{};  // where the policy has no rule for what it is asked: the report names it
};
struct Recompute {    // by the value's recipe
  bool exact = true;  // only if its sources sleep exact; else also from lossy ones
};
struct Pack {
  double keep = 1;  // share of each sample's values that is kept, the largest magnitudes; 1: all, no mask
  Code code = Code::f16;
  bool stochastic = false;  // codes rounded at random, without bias
  int group = 0;            // rows that share offset and scale in each column, of code_groups; 0: a row has its own
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

// For std::visit, of a verdict or of anything else: a function for each case.
template <class... F>
struct match : F... {
  using F::operator()...;
};
template <class... F>
match(F...) -> match<F...>;

// -- The question ---------------------------------------------------------------------------------------------------

// What a value is to the op that saves it.
enum class Role : uint8_t {
  linear_input,      // X of X W^T
  norm_input,        // of a LayerNorm
  activation_input,  // of a function of single elements, whose slope may sleep in its place
  qkv,               // queries, keys and values side by side
  probabilities,     // of attention: the softmax of its scores
  other,
};
std::string_view name(Role);  // "linear input", ...

// Where in the model: a site, such as "blocks.3.mlp.fc1", and the number of the block that it lies in; -1: of none.
struct Place {
  std::string_view site;
  int block = -1;
  bool in_block() const { return block >= 0; }
};

// A parameter, as a policy sees it.  The parameters of a site are called after it: "blocks.3.mlp.fc1.weight".
struct ParamInfo {
  std::string_view name;
  Shape shape{};
  int block = -1;
  bool low_rank = false;  // one of LoRA's two matrices
  std::string_view site() const { return name.substr(0, name.rfind('.')); }
};

// The question that an op puts to the policy, through the tape.
struct SaveRequest : Place {
  Role role = Role::other;
  Shape shape{};                      // of the value, its columns last
  Forms accepts = Form::dense;        // what this op's backward can open
  const ParamInfo* weight = nullptr;  // whose gradient wants it, or null
  // How its sources sleep, where it has a recipe: at least one lossy; so, and the recipe is linear in those, right in
  // the mean as they are; exact.
  enum class Recipe : uint8_t { none, lossy, linear, exact } recipe = Recipe::none;
  int64_t parts = 1;          // tensors side by side in its rows, each pruned by itself
  Slope slope = Slope::none;  // the function that it goes through
};

}  // namespace shear
