// Which of a block's values each rule is for.
#include "policies/pruning.h"

namespace shear {

// Where nothing is pruned the codes are as good as f16: the gradients then are those of `full`.
Pruning::Pruning(PolicyKeys& keys, std::optional<Code> qkv)
    : name_(keys.spec()),
      prune_(keys.number("prune", 0.8, 0, 0.999)),
      norm_(keys.bits("norm", prune_ > 0 ? Code::u8 : Code::f16)),
      slope_(keys.bits("gelu", prune_ > 0 ? Code::u4 : Code::f16)),
      qkv_(keys.has("qkv") ? keys.bits("qkv", Code::f16)
           : prune_ > 0    ? qkv
                           : pruned) {}

Pruning::Pruning(PolicyKeys& keys, OwnAnswers)
    : name_(keys.spec()), prune_(keys.number("prune", 0.8, 0, 0.999)), norm_(Code::f32), slope_(Code::f16) {}

Verdict Pruning::decide(const SaveRequest& request) {
  if (!request.in_block()) return Keep{"outside the blocks, which alone are pruned"};
  switch (request.role) {
    case Role::linear_input:
      return linear(request);
    case Role::norm_input:
      return layernorm(request);
    case Role::activation_input:
      return gelu(request);
    case Role::qkv:
    case Role::probabilities:
      return attention(request);
    case Role::other:
      break;
  }
  return Keep{"the policy has no rule for such a value"};
}

}  // namespace shear
