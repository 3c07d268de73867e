// lean: exact gradients from fewer bytes.  What is cheap to make again is made again: a LayerNorm's output from its
// input and statistics, a GELU's output from its input.  In a ViT block 6 of 16 units of activations (methods: a unit
// is B * N * D values): the inputs of qkv and fc1, and the four of fc2.
#include "policies/policies_list.h"

namespace shear {

namespace {

class Lean final : public MemoryPolicy {
 public:
  std::string name() const override { return "lean"; }
  Verdict decide(const SaveRequest& request) override { return lean_verdict(request); }
};

}  // namespace

Verdict lean_verdict(const SaveRequest& request) {
  if (request.recipe == SaveRequest::Recipe::exact) return Recompute{};
  return Keep{};
}

std::unique_ptr<MemoryPolicy> make_lean(PolicyKeys& keys) {
  keys.done();
  return std::make_unique<Lean>();
}

}  // namespace shear
