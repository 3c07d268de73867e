// What the pruning policies have in common: how much they drop, and what LayerNorm, GELU and attention keep.
//
// Only sites in blocks are pruned.  The embedding, the last norm and the head keep what they need as it is, as in the
// published code.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "policies/by_columns.h"
#include "policies/policies_list.h"

namespace shear {

class Pruning : public MemoryPolicy {
 public:
  static constexpr std::optional<Code> pruned{};
  // `qkv`: how queries, keys and values sleep where the user does not say.  Takes prune, norm, gelu and qkv.
  explicit Pruning(PolicyKeys& keys, std::optional<Code> qkv = pruned);
  // For a policy that has answers of its own for all but linears: takes prune alone.
  struct OwnAnswers {};
  Pruning(PolicyKeys& keys, OwnAnswers);

  std::string name() const override { return name_; }
  Verdict decide(const SaveRequest& request) final;

 protected:
  double keep() const { return 1 - prune_; }
  // Of LoRA's matrices no columns are left out: their gradients are all that trains the layer.  What they need is kept
  // whole, in 8 bits, right in the mean.
  static bool is_low_rank(const SaveRequest& request) { return request.weight && request.weight->low_rank; }
  static Verdict whole() { return Pack{.keep = 1, .code = Code::u8, .stochastic = true}; }

  virtual Verdict linear(const SaveRequest&) = 0;
  // Every row of a LayerNorm's input in a short affine code.  The row's mean and deviation are held exactly, so this
  // is a code of the normalised input: an affine map of a row changes nothing in an affine code of it.
  virtual Verdict layernorm(const SaveRequest&) { return Pack{1, norm_}; }
  // The slope itself on a fixed grid, instead of the input that it would be computed from.
  virtual Verdict gelu(const SaveRequest&) { return PackSlope{slope_}; }
  // The largest queries, keys and values, each tensor by itself; where attention is materialised, probabilities too.
  // Or, where the key qkv says so, queries, keys and values whole in short codes.
  virtual Verdict attention(const SaveRequest& request) {
    if (request.role == Role::qkv && qkv_ != pruned) return by_columns(*qkv_, false);
    return Pack{keep()};
  }

 private:
  std::string name_;
  double prune_;
  Code norm_, slope_;
  std::optional<Code> qkv_;
};

}  // namespace shear
