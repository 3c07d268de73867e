// What stands behind the name of a policy.
#pragma once
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "shear/code.h"

namespace shear {

// The "key=value,..." of a policy's spelling.  A policy takes the keys that it knows, then calls done(), which throws
// Fault::usage for those that are left.
class PolicyKeys {
 public:
  PolicyKeys(std::string_view spec, uint64_t seed);
  const std::string& spec() const { return spec_; }  // as the user spelled it
  const std::string& policy() const { return policy_; }
  uint64_t seed() const { return seed_; }  // of what it draws
  // The number of a key, or its default; throws Fault::usage outside [low, high].
  double number(const std::string& key, double otherwise, double low, double high);
  int64_t whole(const std::string& key, int64_t otherwise, int64_t low, int64_t high);  // a whole number
  bool has(const std::string& key) const { return left_.contains(key); }
  double peek(const std::string& key, double otherwise) const;  // without taking it
  // One of several words, of which the first is the default.
  std::string choice(const std::string& key, std::initializer_list<std::string_view> words);
  bool flag(const std::string& key, bool otherwise) { return number(key, otherwise ? 1 : 0, 0, 1) != 0; }
  Code bits(const std::string& key, Code otherwise);  // 32, 16, 8, 4, 3 or 2
  void done() const;

 private:
  std::string spec_, policy_;
  uint64_t seed_;
  std::map<std::string, std::string> left_;
  std::vector<std::string> known_;  // that the policy asked for, in its order

  void note(const std::string& key);
};

}  // namespace shear
