// What the factory needs of each policy: one line here and one in factory.cpp.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "shear/policy.h"

namespace shear {

// The "key=value,..." of a policy's spelling.  A policy takes the keys that it knows, then calls done(), which throws
// Fault::usage for those that are left.
class PolicyKeys {
 public:
  explicit PolicyKeys(std::string_view spec);
  const std::string& policy() const { return policy_; }
  // The number of a key, or its default; throws Fault::usage outside [low, high].
  double number(const std::string& key, double otherwise, double low, double high);
  void done() const;

 private:
  std::string policy_;
  std::map<std::string, std::string> left_;
};

std::unique_ptr<MemoryPolicy> make_full(PolicyKeys&);
std::unique_ptr<MemoryPolicy> make_lean(PolicyKeys&);

}  // namespace shear
