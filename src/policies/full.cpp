// full: every value dense, as PyTorch eager keeps it.  The exact baseline.
#include "policies/policies_list.h"

namespace shear {

namespace {

class Full final : public MemoryPolicy {
 public:
  std::string name() const override { return "full"; }
  Verdict decide(const SaveRequest&) override { return Keep{}; }
};

}  // namespace

std::unique_ptr<MemoryPolicy> make_full(PolicyKeys& keys) {
  keys.done();
  return std::make_unique<Full>();
}

}  // namespace shear
