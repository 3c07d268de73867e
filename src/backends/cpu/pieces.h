// Loops over elements that know nothing of each other, cut for threads at places that their number does not move: what
// a vector takes and what is left over at the end is the same on any of them.
#pragma once
#include <algorithm>
#include <cstdint>

namespace shear::cpu {

// A contiguous view is one long row, cut into pieces that a thread's cache holds.
inline constexpr int64_t piece = 4096;
inline constexpr int64_t worth_threads = 16384;

// Room for n floats in whole lines of the cache, so that threads do not meet in one.
inline int64_t padded(int64_t n) { return (n + 15) / 16 * 16; }

// f(row, first, count) for the pieces of every row.
template <class F>
void pieces(int threads, int64_t rows, int64_t cols, F f) {
  const int64_t per_row = (cols + piece - 1) / piece;
#pragma omp parallel for num_threads(threads) schedule(static) if (rows * cols > worth_threads)
  for (int64_t i = 0; i < rows * per_row; ++i) {
    const int64_t first = i % per_row * piece;
    f(i / per_row, first, std::min(piece, cols - first));
  }
}

}  // namespace shear::cpu
