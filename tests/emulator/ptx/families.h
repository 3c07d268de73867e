// The families of instructions.  Each answers with its handler, or null where the instruction is none of its own.
#pragma once
#include "program.h"

namespace shear::ptx {

Handler decode_float(Instruction&);    // add.f32, fma.rn.f32, ex2.approx.f32, ... on f16, bf16, f32, f64
Handler decode_integer(Instruction&);  // add.s32, mad.wide.u32, div.s64, addc.u32, ...
Handler decode_bits(Instruction&);     // and, lop3, shl, shf, bfe, brev, popc, prmt, ...
Handler decode_compare(Instruction&);  // setp, set, selp, slct, testp
Handler decode_convert(Instruction&);  // cvt
Handler decode_memory(Instruction&);   // mov, ld, st, cvta, isspacep; and fences, which need do nothing
Handler decode_atomic(Instruction&);   // atom, red
Handler decode_control(Instruction&);  // bra, brx, ret, exit, trap, bar, barrier
Handler decode_warp(Instruction&);     // shfl.sync, vote.sync, match.sync, redux.sync, bar.warp.sync

}  // namespace shear::ptx
