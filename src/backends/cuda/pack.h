// What the files that put matrices to sleep and wake them say to each other.
#pragma once
#include "backends/cuda/launch.h"
#include "kernels/sets.cuh"
#include "kernels/source.cuh"
#include "kernels/warp_rows.cuh"
#include "shear/packed.h"

namespace shear::cuda {

// -- codes.cu ---------------------------------------------------------------------------------------------------------
// Codes of 8, 4 or 2 bits.  With a stream they are rounded at random, by the numbers that the CPU draws.
void encode(On, const Source&, const PackedView& out, const StreamKey* rounding);
void decode(On, const PackedView&, int64_t first_row, View out);

// -- select.cu, masks.cu ----------------------------------------------------------------------------------------------
// Finds the cuts of `count` sets from `first`.
void select(On, const Source&, const Sets&, uint32_t first, uint32_t count, const Selection&);
// Writes their mask and their kept values.
void keep(On, const Source&, const Sets&, uint32_t first, uint32_t count, const Selection&, const PackedView& out);
void unmask(On, const PackedView&, int64_t first_row, View out);

// Blocks in which each warp has a row.
inline dim3 a_warp_a_row(int64_t rows) { return dim3(static_cast<unsigned>((rows + pack_warps - 1) / pack_warps)); }

}  // namespace shear::cuda
