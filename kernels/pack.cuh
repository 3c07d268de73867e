// What the files that put matrices to sleep and wake them say to each other, and what they share.
#pragma once
#include "backends/cuda/launch.h"
#include "kernels/reduce.cuh"
#include "kernels/short_types.cuh"
#include "kernels/source.cuh"
#include "shear/backend.h"

namespace shear::cuda {

// -- codes.cu ---------------------------------------------------------------------------------------------------------
// Codes of 8, 4 or 2 bits.  With a stream they are rounded at random, by the numbers that the CPU draws.
void encode(On, const Source&, const PackedView& out, const StreamKey* rounding);
void decode(On, const PackedView&, int64_t first_row, View out);

// -- select.cu, masks.cu ----------------------------------------------------------------------------------------------
// What is kept of one part of one sample: magnitudes above the cut, and the first `ties` of those equal to it.
struct Cut {
  uint32_t magnitude, ties;
};

// Each part of each sample is a set of its own.  A set is a run of mask words, in the order of its values: 32 columns
// of a row each, or what is left of it.  It is cut into pieces of whole words, a block of threads for each.
struct Sets {
  static constexpr uint32_t least_words = 256;  // of a piece of several: what keeps a block busy

  // Of `out`, where `room` pieces can be at work at once.
  Sets(const PackedView& out, int64_t room);

  uint32_t count, at_once;  // sets, and for how many of them there is room
  uint32_t sample_rows, parts, part_cols, kept;
  uint32_t row_words, words;         // of a part of a row, of a set
  uint32_t pieces, words_per_piece;  // of a set
  unsigned threads() const;          // for a piece
};

// What selecting leaves for the pieces of `at_once` sets: where each piece begins is the sum of those before it.
struct Selection {
  Cut* cuts;               // of each set
  uint32_t *above, *ties;  // of each piece: how many are above the cut, and how many at it
  uint32_t* counts;        // of each piece, `buckets`

  static constexpr uint32_t buckets = 2048;
  static constexpr int64_t words_per_piece = buckets + 2 + 2;  // of room, with a cut for each piece
  Selection(uint32_t* room, int64_t pieces)
      : cuts(reinterpret_cast<Cut*>(room)),
        above(room + 2 * pieces),
        ties(room + 3 * pieces),
        counts(room + 4 * pieces) {}
};

// Finds the cuts of `count` sets from `first`.
void select(On, const Source&, const Sets&, uint32_t first, uint32_t count, const Selection&);
// Writes their mask and their kept values.
void keep(On, const Source&, const Sets&, uint32_t first, uint32_t count, const Selection&, const PackedView& out);
void unmask(On, const PackedView&, int64_t first_row, View out);

// -- Shared -----------------------------------------------------------------------------------------------------------
constexpr int pack_threads = 256, pack_warps = pack_threads / 32;

// Blocks in which each warp has a row.
inline dim3 a_warp_a_row(int64_t rows) { return dim3(static_cast<unsigned>((rows + pack_warps - 1) / pack_warps)); }
__device__ __forceinline__ int64_t row_of_warp() { return int64_t{blockIdx.x} * pack_warps + threadIdx.x / 32; }

__device__ __forceinline__ uint32_t lanes_below(int lane) { return (1u << lane) - 1; }

// The sum over the lanes up to and including this one.
__device__ __forceinline__ uint32_t sum_up_to_lane(uint32_t v) {
#pragma unroll
  for (int offset = 1; offset < 32; offset *= 2) {
    const uint32_t below = __shfl_up_sync(all_lanes, v, offset);
    if (threadIdx.x % 32 >= static_cast<unsigned>(offset)) v += below;
  }
  return v;
}

// As it sleeps: what lies beyond the largest f16 becomes that, nan stays nan.
template <class T>
__device__ __forceinline__ T asleep(float v);
template <>
__device__ __forceinline__ float asleep<float>(float v) {
  return v;
}
template <>
__device__ __forceinline__ __nv_bfloat16 asleep<__nv_bfloat16>(float v) {
  return narrowed<__nv_bfloat16>(v);
}
template <>
__device__ __forceinline__ __half asleep<__half>(float v) {
  constexpr float largest = 65504;
  return narrowed<__half>(v > largest ? largest : v < -largest ? -largest : v);
}

}  // namespace shear::cuda
