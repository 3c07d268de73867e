// c = op(a) op(b) + beta * c (+ bias on every row), in tiles of sums that stay in registers; in f32, or with a and b
// rounded to bf16 and products accumulated in f32.
#pragma once
#include "backends/cpu/cpu_backend.h"

namespace shear::cpu {

// What is multiplied and added at a time: f32, or pairs of bf16 by the chip's instruction (AVX512_BF16), or such pairs
// by two multiply-adds.  The last two round differently in the last bits.
enum class DotProduct : uint8_t { f32, bf16, bf16_portable };

DotProduct fastest_bf16();  // bf16_portable where this build has no such instruction

// On the calling thread.  a and b are f32, or both or one of them bf16 where the dot product is of bf16; c and bias
// f32. An element of c has the same bits however the product is cut into rows and columns, and, in f32, into bands of
// the inner dimension of a multiple of 384.
void gemm_panels(DotProduct, Transposed ta, ConstView a, Transposed tb, ConstView b, float beta, View c, ConstView bias,
                 PackBuffer&);

}  // namespace shear::cpu
