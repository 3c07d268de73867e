// A matrix and the few of its values that are kept: a set bit for each, and the values one after another.
//
// Bytes moved, with a fifth kept in f32 or f16: `keep_kernel` 4 an element, 1/8 for its bit and each value kept, at
// least 4.93 or 4.53, counted 7.63 or 6.87, since values that a warp keeps lie anywhere in their sectors.
// `unmask_kernel` at least 4.92 or 4.52, counted 8.97 or 8.15, for the same reason, and for the bits between the
// beginning of a sample and its own, which each block counts anew.
#pragma once
#include "kernels/sets.cuh"
#include "kernels/short_types.cuh"
#include "kernels/warp_rows.cuh"

namespace shear::cuda {

namespace {

// A block takes a piece: where its values go is what the pieces before it keep.  Words come in turns of a block's, in
// order; how many of a turn lie above the cut and at it stand in the two halves of one number.
template <class T>
__global__ void __launch_bounds__(most_threads)
    keep_kernel(Source source, Sets sets, uint32_t first_set, Selection selection, uint32_t* bits, T* values) {
  __shared__ uint32_t room[most_warps];
  const Piece piece(sets, first_set);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const Cut cut = selection.cuts[piece.set - first_set];
  uint32_t above = 0, ties = 0;
  for (uint32_t p = threadIdx.x; p < piece.number; p += blockDim.x) {
    above += selection.above[blockIdx.x - piece.number + p];
    ties += selection.ties[blockIdx.x - piece.number + p];
  }
  above = block_sum(above, room);
  ties = block_sum(ties, room);
  T* const to = values + int64_t{piece.set} * sets.kept;
  for (uint32_t turn = piece.first; turn < piece.last; turn += words_of_block()) {
    const uint32_t first = turn + warp * words_of_warp;
    const Magnitudes m(source, sets, piece, first);
    uint32_t is_above[words_of_warp], is_tie[words_of_warp], of_warp = 0;
#pragma unroll
    for (uint32_t j = 0; j < words_of_warp; ++j) {
      is_above[j] = __ballot_sync(all_lanes, m.bits[j] > static_cast<int>(cut.magnitude));
      is_tie[j] = __ballot_sync(all_lanes, m.bits[j] == static_cast<int>(cut.magnitude));
      of_warp += __popc(is_above[j]) + (__popc(is_tie[j]) << 16);
    }
    if (lane == 0) room[warp] = of_warp;
    __syncthreads();
    uint32_t before = 0, of_block = 0;
    for (int w = 0; w < static_cast<int>(blockDim.x) / 32; ++w) {
      before += w < warp ? room[w] : 0;
      of_block += room[w];
    }
    __syncthreads();
    uint32_t a = above + (before & 0xffff), t = ties + (before >> 16);
#pragma unroll
    for (uint32_t j = 0; j < words_of_warp; ++j) {
      const uint32_t a_here = a + __popc(is_above[j] & lanes_below(lane)),
                     t_here = t + __popc(is_tie[j] & lanes_below(lane));
      const bool tied = is_tie[j] >> lane & 1, kept = tied ? t_here < cut.ties : is_above[j] >> lane & 1;
      const uint32_t word = __ballot_sync(all_lanes, kept);
      if (kept) to[a_here + min(t_here, cut.ties)] = asleep<T>(m.values[j]);
      if (lane == 0 && first + j < piece.last) {
        const int64_t row = int64_t{piece.sample} * sets.sample_rows + (first + j) / sets.row_words;
        bits[(row * sets.parts + piece.part) * sets.row_words + (first + j) % sets.row_words] = word;
      }
      a += __popc(is_above[j]);
      t += __popc(is_tie[j]);
    }
    above += of_block & 0xffff;
    ties += of_block >> 16;
  }
}

// Some rows of one part of one sample: `run` of them from a multiple of that, as far as they are asked for.
struct Run {
  int64_t sample, first, last;

  // A sample is `runs` runs, and so many blocks; the first row lies in `first_sample`.
  __device__ __forceinline__ Run(int64_t sample_rows, int64_t run, uint32_t runs, int64_t first_sample,
                                 int64_t first_row, int64_t rows) {
    sample = first_sample + blockIdx.x / runs;
    const int64_t begin = sample * sample_rows + blockIdx.x % runs * run;
    const int64_t end = begin + run < (sample + 1) * sample_rows ? begin + run : (sample + 1) * sample_rows;
    first = begin < first_row ? first_row : begin;
    last = end < first_row + rows ? end : first_row + rows;
  }
};

// A block takes a run of a part; a warp a row, 32 words of it at a time.
template <class T>
__global__ void __launch_bounds__(pack_threads)
    unmask_kernel(const T* values, const uint32_t* bits, int64_t sample_rows, int64_t parts, int64_t cols,
                  int64_t words, int64_t kept, int64_t run_rows, uint32_t runs, int64_t first_sample, int64_t first_row,
                  int64_t rows, float* out, int64_t stride) {
  __shared__ uint32_t room[most_warps];
  const Run run(sample_rows, run_rows, runs, first_sample, first_row, rows);
  if (run.first >= run.last) return;  // the whole block
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t part = blockIdx.y;
  const auto bits_of = [&](int64_t r) { return bits + (r * parts + part) * words; };
  uint32_t count = 0;
  for (int64_t r = run.sample * sample_rows + warp; r < run.first; r += pack_warps)
    for (int64_t w = lane; w < words; w += 32) count += __popc(bits_of(r)[w]);
  const T* from = values + (run.sample * parts + part) * kept + block_sum(count, room);
  for (int64_t turn = run.first; turn < run.last; turn += pack_warps) {
    const int64_t r = turn + warp;
    const bool there = r < run.last;
    uint32_t of_row = 0;
    for (int64_t w = lane; there && w < words; w += 32) of_row += __popc(bits_of(r)[w]);
    of_row = warp_reduce(of_row, Add<uint32_t>{});
    if (lane == 0) room[warp] = of_row;
    __syncthreads();
    uint32_t before = 0, of_block = 0;
    for (int w = 0; w < pack_warps; ++w) {
      before += w < warp ? room[w] : 0;
      of_block += room[w];
    }
    __syncthreads();
    float* const to = out + (r - first_row) * stride + part * cols;
    for (int64_t w = 0; there && w < words; w += 32) {
      const uint32_t own = w + lane < words ? bits_of(r)[w + lane] : 0;
      const uint32_t up_to = sum_up_to_lane(__popc(own));
      for (int j = 0; j < 32 && w + j < words; ++j) {
        const uint32_t word = __shfl_sync(all_lanes, own, j);
        const uint32_t at = before + __shfl_sync(all_lanes, up_to, j) - __popc(word) + __popc(word & lanes_below(lane));
        const int64_t c = (w + j) * 32 + lane;
        if (c < cols) to[c] = word >> lane & 1 ? widened(from[at]) : 0.f;
      }
      before += __shfl_sync(all_lanes, up_to, 31);
    }
    from += of_block;
  }
}

}  // namespace

}  // namespace shear::cuda
