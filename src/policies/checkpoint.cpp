// checkpoint: exact gradients from the inputs of blocks alone.  Backward runs each block once more, and while it goes
// through that block it keeps what `lean` would.  Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
//
// With band=ROWS blocks work on a band of images at a time, and of what is made again only a band's values are there.
#include "policies/policies_list.h"

namespace shear {

namespace {

class Checkpoint final : public MemoryPolicy {
 public:
  explicit Checkpoint(PolicyKeys& keys) : name_(keys.spec()), band_(keys.whole("band", 0, 0, 1000000000)) {
    keys.done();
  }

  std::string name() const override { return name_; }
  int64_t band_rows(const Place&) const override { return band_; }
  bool wants(Way way, const Place&) const override { return way == Way::segment_made_again; }
  Verdict decide(const SaveRequest& request) override { return lean_verdict(request); }

 private:
  std::string name_;
  int64_t band_;
};

}  // namespace

std::unique_ptr<MemoryPolicy> make_checkpoint(PolicyKeys& keys) { return std::make_unique<Checkpoint>(keys); }

}  // namespace shear
