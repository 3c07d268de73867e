// The policies by name.  A new one is a file in src/policies and a line in its factory.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shear/api.h"
#include "shear/policy.h"

namespace SHEAR_API shear {

// "full", "lean", or "NAME:key=value,...".  Several by site: "tokens@blocks.*.mlp.*|lean" takes the first whose pattern
// fits.  `seed`: of what it draws.  Throws Fault::usage for what it does not know, naming what it does.
std::unique_ptr<MemoryPolicy> make_policy(std::string_view spec, uint64_t seed = 0);

struct PolicyDoc {
  std::string_view name, what, keys;
};
std::vector<PolicyDoc> policy_docs();  // for --help

}  // namespace shear
