// The k-th largest magnitude of each set: exactly, by radix over the bits of the floats.
//
// A first pass over the values counts them by their top 11 bits; of those in the bucket that the k-th lies in, a second
// counts the next 10, and a third the next.  Each piece of a set counts by itself, so that no block waits for another
// and nothing needs clearing; what its counts say of how many lie above the k-th, and at it, is where its values will
// go.  Blocks of one launch never meet: between two passes another kernel picks the bucket.
//
// Bytes moved: `count_kernel` 4 an element and its counts in three passes, at least 13.73, counted 14.38.  The least
// for the three passes and the one of `keep` would be to read a set once; it would have to stay on the chip, and one of
// ViT-B's has 2.4 MB.  `pick_kernel`: the counts, 8 KiB for each piece of 8192 values or more in the first pass and 4
// in the others, at least 1.74, counted 3.97, from the cache.
#pragma once
#include "kernels/reduce.cuh"
#include "kernels/sets.cuh"
#include "kernels/warp_rows.cuh"

namespace shear::cuda {

namespace {

constexpr int passes = 3;
struct Digit {
  int shift;
  uint32_t width;     // how many values it has
  uint32_t above_it;  // the bits that stand before it; of these the sign's is set where there is no value
};
__device__ __forceinline__ Digit digit_of(int pass) {
  if (pass == 0) return {20, 2048, 0x80000000u};
  if (pass == 1) return {10, 1024, 0xfff00000u};
  return {0, 1024, 0xfffffc00u};
}

// counts[piece, digit] of the values that agree with their set's cut in all bits before.
__global__ void __launch_bounds__(most_threads)
    count_kernel(Source source, Sets sets, uint32_t first_set, int pass, const Cut* cuts, uint32_t* counts) {
  __shared__ uint32_t of_block[Selection::buckets];
  const Digit digit = digit_of(pass);
  for (uint32_t i = threadIdx.x; i < digit.width; i += blockDim.x) of_block[i] = 0;
  __syncthreads();
  const Piece piece(sets, first_set);
  const uint32_t prefix = pass == 0 ? 0 : cuts[piece.set - first_set].magnitude;
  // The lowest bucket is counted apart: values that are mostly zero would queue for it.
  uint32_t lowest = 0;
  for (uint32_t i = piece.first + threadIdx.x / 32 * words_of_warp; i < piece.last; i += words_of_block()) {
    const Magnitudes m(source, sets, piece, i);
#pragma unroll
    for (uint32_t j = 0; j < words_of_warp; ++j) {
      const uint32_t bits = static_cast<uint32_t>(m.bits[j]);
      if ((bits & digit.above_it) != prefix) continue;
      const uint32_t bucket = bits >> digit.shift & (digit.width - 1);
      if (bucket == 0)
        ++lowest;
      else
        atomicAdd(&of_block[bucket], 1u);
    }
  }
  if (lowest > 0) atomicAdd(&of_block[0], lowest);
  __syncthreads();
  uint32_t* const to = counts + int64_t{blockIdx.x} * Selection::buckets;
  for (uint32_t i = threadIdx.x; i < digit.width; i += blockDim.x) to[i] = of_block[i];
}

// Which of the buckets the k-th lies in becomes the next digit of the cut; `ties` of it is the k-th's rank in there.
// A thread looks at `Each` buckets, the first at the highest.
template <int Each>
__global__ void __launch_bounds__(pack_threads) pick_kernel(Sets sets, int pass, Selection selection) {
  __shared__ uint32_t room[pack_warps];
  __shared__ uint32_t picked, rank;
  const Digit digit = digit_of(pass);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const uint32_t set = blockIdx.x;
  const uint32_t* const counts = selection.counts + int64_t{set} * sets.pieces * Selection::buckets;
  const uint32_t k = pass == 0 ? sets.kept : selection.cuts[set].ties;
  const uint32_t base = digit.width - (threadIdx.x + 1) * Each;
  uint32_t own[Each] = {}, sum = 0;
#pragma unroll 1
  for (uint32_t p = 0; p < sets.pieces; ++p)
#pragma unroll
    for (int i = 0; i < Each; i += 4) {
      const uint4 four = *reinterpret_cast<const uint4*>(counts + int64_t{p} * Selection::buckets + base + i);
      own[i] += four.x, own[i + 1] += four.y, own[i + 2] += four.z, own[i + 3] += four.w;
    }
#pragma unroll
  for (int i = 0; i < Each; ++i) sum += own[i];
  const uint32_t in_warp = sum_up_to_lane(sum);
  if (lane == 31) room[warp] = in_warp;
  __syncthreads();
  uint32_t before = in_warp - sum;
  for (int w = 0; w < warp; ++w) before += room[w];
  if (before < k && k <= before + sum) {
    uint32_t left = k - before;
#pragma unroll
    for (int i = Each - 1; i >= 0; --i) {
      if (left == 0) continue;  // it was in a bucket above
      if (own[i] < left)
        left -= own[i];
      else
        picked = base + i, rank = left, left = 0;
    }
  }
  __syncthreads();
  if (threadIdx.x == 0)
    selection.cuts[set] = {(pass == 0 ? 0 : selection.cuts[set].magnitude) | picked << digit.shift, rank};
  for (uint32_t p = warp; p < sets.pieces; p += pack_warps) {
    const uint32_t* const of_piece = counts + int64_t{p} * Selection::buckets;
    uint32_t more = 0;
    for (uint32_t i = picked + 1 + lane; i < digit.width; i += 32) more += of_piece[i];
    more = warp_reduce(more, Add<uint32_t>{});
    if (lane != 0) continue;
    const int64_t piece = int64_t{set} * sets.pieces + p;
    selection.above[piece] = more + (pass == 0 ? 0 : selection.above[piece]);
    selection.ties[piece] = of_piece[picked];
  }
}

}  // namespace

}  // namespace shear::cuda
