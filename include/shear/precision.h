// What products of matrices are computed in.
#pragma once
#include <cstdint>
#include <string_view>

#include "shear/api.h"

namespace SHEAR_API shear {

// bf16 rounds both operands to 8 bits of precision, adds up in f32, and wants half of the memory for what it reads.
// LayerNorm and GELU then take their input rounded too, which is how it sleeps: made again from there, their outputs
// have the bits that they had.
enum class Precision : uint8_t { f32, bf16 };

Precision parse_precision(std::string_view);  // "f32", "bf16"; throws Fault::usage for others

}  // namespace shear
