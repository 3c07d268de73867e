// c = op(a) op(b) + beta * c (+ bias on every row), with a and b rounded to bf16 and products accumulated in f32.
#pragma once
#include "cpu/cpu_backend.h"

namespace shear::cpu {

// What multiplies two pairs of bf16 and adds to f32: the chip's instruction (AVX512_BF16), or two fused multiply-adds.
// They round differently in the last bits.
enum class DotProduct : bool { native, portable };

bool has_native_bf16();  // whether this build has the instruction

// On the calling thread.  a and b are f32 or bf16, c and bias f32.  A row of c has the same bits wherever the matrix is
// cut into rows or columns.
void gemm_bf16_serial(Transposed ta, ConstView a, Transposed tb, ConstView b, float beta, View c, ConstView bias,
                      PackBuffer&, DotProduct);

}  // namespace shear::cpu
