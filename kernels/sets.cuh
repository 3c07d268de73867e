// Sets of values, as the kernels that select and keep walk them: a block has a piece, a warp some mask words at a time.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/reduce.cuh"
#include "kernels/source.cuh"
#include "shear/packed.h"

namespace shear::cuda {

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

constexpr int most_threads = 32 * most_warps;
constexpr uint32_t words_of_warp = 4;
__device__ __forceinline__ uint32_t words_of_block() { return blockDim.x / 32 * words_of_warp; }

// The piece of the block: words first ... last of a set.
struct Piece {
  uint32_t set, sample, part;
  uint32_t number, first, last;  // number: of its set's

  __device__ __forceinline__ Piece(const Sets& sets, uint32_t first_set) {
    const uint32_t in_wave = blockIdx.x / sets.pieces;
    set = first_set + in_wave;
    sample = set / sets.parts;
    part = set % sets.parts;
    number = blockIdx.x - in_wave * sets.pieces;
    first = number * sets.words_per_piece;
    last = min(first + sets.words_per_piece, sets.words);
  }
};

// Lane by lane, the values of words_of_warp words from the i-th.  The bits of |v| order as the numbers do; where a word
// ends early, or the piece does, they are -1.
struct Magnitudes {
  float values[words_of_warp];
  int bits[words_of_warp];

  __device__ __forceinline__ Magnitudes(const Source& source, const Sets& sets, const Piece& piece, uint32_t i) {
    uint32_t row = i / sets.row_words, word = i % sets.row_words;
#pragma unroll
    for (uint32_t j = 0; j < words_of_warp; ++j) {
      const uint32_t c = word * 32 + threadIdx.x % 32;
      const bool there = i + j < piece.last && c < sets.part_cols;
      const int64_t r = int64_t{piece.sample} * sets.sample_rows + row;
      values[j] = there ? source.row(r).raw(piece.part * sets.part_cols + c) : 0.f;
      bits[j] = there ? 0 : -1;
      if (++word == sets.row_words) word = 0, ++row;
    }
#pragma unroll
    for (uint32_t j = 0; j < words_of_warp; ++j) {
      values[j] = slope_of(source.slope, values[j]);
      if (bits[j] == 0) bits[j] = __float_as_int(values[j]) & 0x7fffffff;
    }
  }
};

}  // namespace shear::cuda
