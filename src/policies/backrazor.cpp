// backrazor: forward is exact, and of what is saved each image keeps its largest elements, in f16 with a bitmask.
//
// BackRazor (Jiang et al., "Back Razor: Memory-Efficient Transfer Learning by Self-Sparsified Backpropagation", NeurIPS
// 2022), as its public release does it: LayerNorm's input keeps f32 and exact statistics, GELU's input is dense in f16
// (a zero in its place would have the slope 1/2), attention is materialised, and Q, K, V and P are pruned each by
// itself.  Two differences: exactly k elements are kept, whatever ties there are, and a shared input sleeps once.
#include "policies/pruning.h"

namespace shear {

namespace {

class BackRazor final : public Pruning {
 public:
  explicit BackRazor(PolicyKeys& keys) : Pruning(keys, OwnAnswers{}) { keys.done(); }
  bool wants(Way way, const Place& at) const override { return way == Way::materialised_attention && at.in_block(); }

 protected:
  Verdict linear(const SaveRequest&) override { return Pack{keep()}; }
  Verdict layernorm(const SaveRequest&) override { return Pack{keep(), Code::f32}; }
  Verdict gelu(const SaveRequest&) override { return Pack{1, Code::f16}; }
};

}  // namespace

std::unique_ptr<MemoryPolicy> make_backrazor(PolicyKeys& keys) { return std::make_unique<BackRazor>(keys); }

}  // namespace shear
