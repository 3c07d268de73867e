// What the factory needs of each policy: one line here and one in factory.cpp.
#pragma once
#include <memory>
#include <string_view>

#include "policies/keys.h"
#include "shear/policy.h"

namespace shear {

std::unique_ptr<MemoryPolicy> make_full(PolicyKeys&);
std::unique_ptr<MemoryPolicy> make_lean(PolicyKeys&);
std::unique_ptr<MemoryPolicy> make_checkpoint(PolicyKeys&);
std::unique_ptr<MemoryPolicy> make_backrazor(PolicyKeys&);
std::unique_ptr<MemoryPolicy> make_prebackrazor_minus(PolicyKeys&);
std::unique_ptr<MemoryPolicy> make_prebackrazor(PolicyKeys&);  // and PreBR++
std::unique_ptr<MemoryPolicy> make_tokens(PolicyKeys&);
std::unique_ptr<MemoryPolicy> make_codes(PolicyKeys&);

// What lean answers: made again where that is exact, else kept.
Verdict lean_verdict(const SaveRequest&);

// "P@PATTERN|P@PATTERN|P": for each site the first whose pattern fits, where * stands for anything.
std::unique_ptr<MemoryPolicy> make_by_site(std::string_view spec, uint64_t seed);

}  // namespace shear
