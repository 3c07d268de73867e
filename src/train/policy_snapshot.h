// What a policy carries from step to step, so that a step can be as if it had not begun.
#pragma once
#include <algorithm>
#include <vector>

#include "shear/policy.h"

namespace shear {

class PolicySnapshot {
 public:
  void watch(MemoryPolicy& policy) {  // once it has been prepared
    state_ = policy.state();
    for (const PolicyState& s : state_) values_.emplace_back(s.values.begin(), s.values.end());
  }
  void take() {
    for (size_t i = 0; i < state_.size(); ++i) std::ranges::copy(state_[i].values, values_[i].begin());
  }
  void restore() {
    for (size_t i = 0; i < state_.size(); ++i) std::ranges::copy(values_[i], state_[i].values.begin());
  }

 private:
  std::vector<PolicyState> state_;
  std::vector<std::vector<float>> values_;
};

}  // namespace shear
