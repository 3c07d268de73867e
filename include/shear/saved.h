// How a value sleeps between forward and backward: the forms in which it wakes, and the verdicts that choose them.
//
// Forms are closed: every consumer must know each, and the compiler lists what a new one must fill.  Policies are
// open: see policy.h.
#pragma once
#include <cstdint>
#include <string_view>
#include <variant>

#include "shear/tensor.h"

namespace shear {

// -- Forms ----------------------------------------------------------------------------------------------------------
struct Dense {  // the value itself
  Tensor values;
};
struct Recomputed {  // nothing: made again, a band of rows at a time, from exact values that sleep anyway
  int recipe;
  int64_t rows, cols;
};
using Kept = std::variant<Dense, Recomputed>;

enum class Form : uint8_t { dense = 1, recomputed = 2 };  // 1 << the index in Kept
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

// -- Verdicts: what a policy may answer -----------------------------------------------------------------------------
struct Keep {};       // dense
struct Recompute {};  // by the value's recipe, if its sources are exact
using Verdict = std::variant<Keep, Recompute>;

std::string_view name(const Verdict&);  // "keep", "recompute"
std::string_view name(const Kept&);     // "dense", "recomputed"

// The question that an op puts to the policy, through the tape.
struct SaveRequest {
  std::string_view site, op;  // "blocks.3.mlp.fc1", "linear"
  const Tensor& value;        // still dense: a policy may look
  Forms accepts;              // what this op's backward can open
  const Param* weight;        // whose gradient wants it, or null
  bool recomputable = false;  // it has a recipe whose sources sleep exact, and the op opens what is made again
};

template <class... F>
struct match : F... {
  using F::operator()...;
};
template <class... F>
match(F...) -> match<F...>;

}  // namespace shear
