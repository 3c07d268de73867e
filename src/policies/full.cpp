// full: every value dense, as PyTorch eager keeps it.  The exact baseline.
#include "policies/policies_list.h"

namespace shear {

namespace {

class Full final : public MemoryPolicy {
 public:
  explicit Full(PolicyKeys& keys) : name_(keys.spec()) {
    materialised_ = keys.choice("attention", {"tiled", "materialised"}) == "materialised";
    keys.done();
  }
  std::string name() const override { return name_; }
  bool wants(Way way, const Place&) const override { return way == Way::materialised_attention && materialised_; }
  Verdict decide(const SaveRequest&) override { return Keep{}; }

 private:
  std::string name_;
  bool materialised_;
};

}  // namespace

std::unique_ptr<MemoryPolicy> make_full(PolicyKeys& keys) { return std::make_unique<Full>(keys); }

}  // namespace shear
