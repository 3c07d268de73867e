// checkpoint: exact gradients from the inputs of blocks alone.  Backward runs each block once more, and while it goes
// through that block it keeps what `lean` would.  Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
#include "policies/policies_list.h"

namespace shear {

namespace {

class Checkpoint final : public MemoryPolicy {
 public:
  std::string name() const override { return "checkpoint"; }
  bool wants(Way way, const Place&) const override { return way == Way::segment_made_again; }
  Verdict decide(const SaveRequest& request) override { return lean_verdict(request); }
};

}  // namespace

std::unique_ptr<MemoryPolicy> make_checkpoint(PolicyKeys& keys) {
  keys.done();
  return std::make_unique<Checkpoint>();
}

}  // namespace shear
