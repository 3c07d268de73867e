// codes: every row and column is there, in few bits: a column has an offset and a scale of its own for each group of
// tokens and is rounded at random, so that weight gradients are right in the mean.
//
// Where the columns that PreBackRazor keeps buy time, bits buy fidelity: each halves the error.  By columns, for what
// differs in size in a transformer are the channels: with a range for 64 columns of a token (as ActNN and GACT have
// it) the small ones drown in the steps of the large: AdamW, which takes each weight's gradient by its own size,
// feels it the most; the same bytes on 64 tokens of a column are worth a bit.  A LayerNorm and the linear behind it
// share one code, of the standardised input.  GELU keeps its slope.  Queries, keys and values are rounded to the
// nearest: what attention makes of them is not linear, and half the error is worth more there. Beyond the paper;
// nearest relatives: ActNN (Chen et al. 2021), GACT (Liu et al. 2022), MS-BP (Yang et al. 2024), KIVI (Liu et al.
// 2024).
#include <algorithm>

#include "policies/by_columns.h"
#include "policies/policies_list.h"
#include "shear/error.h"

namespace shear {

namespace {

class Codes final : public MemoryPolicy {
 public:
  explicit Codes(PolicyKeys& keys)
      : name_(keys.spec()),
        code_(keys.bits("bits", Code::u3)),
        qkv_(keys.bits("qkv", Code::u4)),
        slope_(keys.bits("gelu", Code::u4)),
        group_(group_of(keys)),
        band_(keys.whole("band", 2048, 0, 1000000000)) {
    keys.done();
  }

  std::string name() const override { return name_; }
  bool wants(Way way, const Place& at) const override { return way == Way::standardised_norm_input && at.in_block(); }
  int64_t band_rows(const Place&) const override { return band_; }

  Verdict decide(const SaveRequest& request) override {
    if (!request.in_block()) return Keep{"outside the blocks, which alone are pruned"};
    switch (request.role) {
      case Role::linear_input:
        if (request.recipe >= SaveRequest::Recipe::linear) return Recompute{.exact = false};
        return by_columns(code_, true, group_);
      case Role::norm_input:
        return by_columns(code_, true, group_);
      case Role::activation_input:
        if (request.slope != Slope::none) return PackSlope{slope_};
        return by_columns(slope_, false, group_);
      case Role::qkv:
      case Role::probabilities:
        return by_columns(qkv_, false, group_);
      case Role::other:
        break;
    }
    return Keep{"the policy has no rule for such a value"};
  }

 private:
  static int group_of(PolicyKeys& keys) {
    const double group = keys.number("group", usual_code_group, 0, code_groups.back());
    const auto known = [&](int g) { return g == group; };
    if (group != 0 && std::none_of(code_groups.begin(), code_groups.end(), known))
      fail(Fault::usage, "policy ", keys.policy(), ": group=", group, ", expected 32, 64, 128, 256, or 0 for a row");
    return static_cast<int>(group);
  }

  std::string name_;
  Code code_, qkv_, slope_;
  int group_;
  int64_t band_;
};

}  // namespace

std::unique_ptr<MemoryPolicy> make_codes(PolicyKeys& keys) { return std::make_unique<Codes>(keys); }

}  // namespace shear
