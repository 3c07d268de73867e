// From an address in the executable to a line of its source.
#pragma once
#include <cstdint>
#include <string>

namespace cuemu {

// "elementwise.cu:31", or "reduce.cuh:30 < layernorm.cu:52" where the first was inlined into the second.
std::string source_line(uint64_t offset);  // of the instruction, from the executable's base

}  // namespace cuemu
