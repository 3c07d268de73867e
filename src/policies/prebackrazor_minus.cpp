// prebr-: of each linear's input the columns of largest norm, chosen anew in every forward pass.  Biased, with nothing
// drawn; dW has 1 - prune of its columns and costs as much less.  PreBackRazor-, supplement of "Sheared Backpropagation
// for Fine-tuning Foundation Models", CVPR 2024.
#include "policies/pruning.h"

namespace shear {

namespace {

class PreBackRazorMinus final : public Pruning {
 public:
  explicit PreBackRazorMinus(PolicyKeys& keys) : Pruning(keys) { keys.done(); }
  bool wants(Way way, const Place& at) const override { return way == Way::materialised_attention && at.in_block(); }

 protected:
  Verdict linear(const SaveRequest& request) override {
    if (is_low_rank(request)) return whole();
    return TopColumns{keep()};
  }
};

}  // namespace

std::unique_ptr<MemoryPolicy> make_prebackrazor_minus(PolicyKeys& keys) {
  return std::make_unique<PreBackRazorMinus>(keys);
}

}  // namespace shear
