// What the spellings of all families share: "name:key=value,...", each key once.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace shear {

struct SpecPair {
  std::string_view key, value;
};

// The pairs of a list, in their order.  Throws Fault::usage for what is no pair and for a key that is there twice.
std::vector<SpecPair> spec_pairs(std::string_view spec, std::string_view list);

// A value from 1 to `highest`.  Throws Fault::usage for another.
int64_t spec_number(std::string_view spec, const SpecPair&, int64_t highest);

// Throws Fault::usage: a key that a family does not have.
[[noreturn]] void unknown_key(std::string_view spec, std::string_view key, std::span<const std::string_view> known);

}  // namespace shear
