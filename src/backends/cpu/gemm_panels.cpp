// Goto & van de Geijn's order of blocks (2008): a block of b, packed once, streams past a few panels of a.  What is
// packed are words: one f32, or two bf16 that are neighbours along the inner dimension, as the chip's dot product takes
// them.
#include "backends/cpu/gemm_panels.h"

#include <algorithm>
#include <bit>
#include <type_traits>

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include "backends/cpu/short_types.h"
#include "shear/error.h"

namespace shear::cpu {

namespace {

constexpr int lanes = 16;
constexpr int tile_rows = 14, tile_vectors = 2, tile_cols = tile_vectors * lanes;  // 28 sums in 32 registers
constexpr int64_t block_rows = 8 * tile_rows, block_cols = 32 * tile_cols;

using Floats = float __attribute__((vector_size(4 * lanes)));
using Words = uint32_t __attribute__((vector_size(4 * lanes)));
using LooseFloats = float __attribute__((vector_size(4 * lanes), aligned(4)));

// A dot product: how many numbers a word holds, how many words are added up before the sums go to c, and so on.
struct Single {
  static constexpr int64_t numbers = 1, depth = 384;
  static uint32_t word(float x, float) { return std::bit_cast<uint32_t>(x); }
  static Floats add(Floats sum, uint32_t a, Words b) { return sum + std::bit_cast<float>(a) * (Floats)b; }
};
struct Pair {
  static constexpr int64_t numbers = 2, depth = 288;
  static uint32_t word(float low, float high) {  // the first in the low half
    return bf16_in_high_half(low) >> 16 | (bf16_in_high_half(high) & 0xffff0000u);
  }
  static uint32_t word(uint16_t low, uint16_t high) { return low | static_cast<uint32_t>(high) << 16; }
};
#if defined(__AVX512BF16__)
struct NativePair : Pair {
  static Floats add(Floats sum, uint32_t a, Words b) {
    return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(static_cast<int>(a)), (__m512bh)b);
  }
};
#endif
struct PortablePair : Pair {
  static Floats add(Floats sum, uint32_t a, Words b) {
    const Floats low = (Floats)(b << 16), high = (Floats)(b & 0xffff0000u);
    return sum + std::bit_cast<float>(a << 16) * low + std::bit_cast<float>(a & 0xffff0000u) * high;
  }
};

// c = op(a) op(b) as both look from outside: element (outer, inner) of an operand lies at outer * by_outer + inner *
// by_inner, and one of the two steps is 1.
template <class T>
struct Operand {
  const T* data;
  int64_t by_outer, by_inner;
};

template <class Dot>
int64_t words_of(int64_t depth) {
  return (depth + Dot::numbers - 1) / Dot::numbers;
}

// One panel: `count` of `Width` outer indices and `depth` inner ones from `from` on, which lie along the inner
// dimension, in words [inner / numbers][Width].
template <class Dot, int Width, class Count, class T>
void pack_along(const T* from, int64_t by_outer, Count count, int64_t depth, uint32_t* to) {
  constexpr int64_t piece = 16;
  constexpr int64_t n_in = Dot::numbers;
  const int64_t whole = depth / n_in;
  for (int64_t first = 0; first < whole; first += piece) {
    const int64_t n = std::min(piece, whole - first);
    uint32_t words[Width][piece];
    for (int64_t w = 0; w < count; ++w) {
      const T* row = from + w * by_outer + n_in * first;
      for (int64_t i = 0; i < n; ++i) words[w][i] = Dot::word(row[n_in * i], row[n_in * i + n_in - 1]);
    }
    for (int64_t i = 0; i < n; ++i)
      for (int64_t w = 0; w < count; ++w) to[(first + i) * Width + w] = words[w][i];
  }
  if (depth % n_in != 0)
    for (int64_t w = 0; w < count; ++w) to[whole * Width + w] = Dot::word(from[w * by_outer + depth - 1], T{});
}

// Word `i` of the inner dimension of one panel, whose outer indices lie side by side.
template <class Dot, class Count, class T>
void pack_across(const T* low, const T* high, Count count, uint32_t* to) {
#pragma omp simd
  for (int64_t w = 0; w < count; ++w) to[w] = Dot::word(low[w], high ? high[w] : T{});
}

// `count` outer indices in panels of `Width`, `depth` inner ones; what is not there is zero.
template <class Dot, int Width, class T>
void pack_panels(Operand<T> x, int64_t outer, int64_t inner, int64_t count, int64_t depth, uint32_t* to) {
  const T* from = x.data + outer * x.by_outer + inner * x.by_inner;
  const int64_t words = words_of<Dot>(depth), whole = count / Width, rest = count % Width;
  constexpr std::integral_constant<int64_t, Width> full;  // known when compiled: its loops become vectors
  if (x.by_inner == 1) {
    for (int64_t p = 0; p < whole; ++p)
      pack_along<Dot, Width>(from + p * Width * x.by_outer, x.by_outer, full, depth, to + p * Width * words);
    if (rest > 0)
      pack_along<Dot, Width>(from + whole * Width * x.by_outer, x.by_outer, rest, depth, to + whole * Width * words);
  } else {  // all panels of a row at once: it lies in few cache lines
    for (int64_t i = 0; i < words; ++i) {
      const T* low = from + Dot::numbers * i * x.by_inner;
      const T* high = Dot::numbers * (i + 1) <= depth ? low + (Dot::numbers - 1) * x.by_inner : nullptr;
      const auto second = [&](int64_t p) { return high ? high + p * Width : nullptr; };
      for (int64_t p = 0; p < whole; ++p)
        pack_across<Dot>(low + p * Width, second(p), full, to + (p * words + i) * Width);
      if (rest > 0) pack_across<Dot>(low + whole * Width, second(whole), rest, to + (whole * words + i) * Width);
    }
  }
  if (rest > 0)
    for (int64_t i = 0; i < words; ++i) {
      uint32_t* word = to + (whole * words + i) * Width;
      std::fill(word + rest, word + Width, 0u);
    }
}

// What becomes of a tile's sums.
struct Ending {
  float beta;
  const float* bias;  // from the tile's first column on, or null
};

template <class Dot>
void multiply_tile(int64_t words, const uint32_t* a, const uint32_t* b, float* c, int64_t stride, const Ending& end) {
  Floats sums[tile_rows][tile_vectors] = {};
  for (int64_t k = 0; k < words; ++k, a += tile_rows, b += tile_cols) {
    Words right[tile_vectors];
#pragma GCC unroll 2
    for (int v = 0; v < tile_vectors; ++v) right[v] = *reinterpret_cast<const Words*>(b + v * lanes);
#pragma GCC unroll 14
    for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < tile_vectors; ++v) sums[r][v] = Dot::add(sums[r][v], a[r], right[v]);
  }
#pragma GCC unroll 14
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < tile_vectors; ++v) {
      auto* to = reinterpret_cast<LooseFloats*>(c + r * stride + v * lanes);
      Floats sum = sums[r][v];
      if (end.bias) sum += *reinterpret_cast<const LooseFloats*>(end.bias + v * lanes);
      if (end.beta == 1)
        sum += *to;
      else if (end.beta != 0)
        sum += end.beta * *to;
      *to = sum;
    }
}

// A tile that sticks out is computed whole, beside c.
template <class Dot>
void multiply_edge(int64_t words, const uint32_t* a, const uint32_t* b, View c, const Ending& end) {
  alignas(64) float whole[tile_rows * tile_cols];
  multiply_tile<Dot>(words, a, b, whole, tile_cols, {0, nullptr});
  for (int64_t r = 0; r < c.rows; ++r)
    for (int64_t i = 0; i < c.cols; ++i) {
      float sum = whole[r * tile_cols + i];
      if (end.bias) sum += end.bias[i];
      float& to = c.row(r)[i];
      to = end.beta == 0 ? sum : sum + end.beta * to;
    }
}

template <class Dot, class A, class B>
void multiply(Operand<A> a, Operand<B> b, int64_t inner, float beta, View c, ConstView bias, PackBuffer& pack) {
  constexpr int64_t deep = Dot::depth * Dot::numbers;
  static_assert((block_rows + block_cols) * Dot::depth * 4 <= static_cast<int64_t>(PackBuffer::bytes));
  static_assert(block_rows * Dot::depth * 4 % 64 == 0);
  auto* left = reinterpret_cast<uint32_t*>(pack.left());
  uint32_t* right = left + block_rows * Dot::depth;
  for (int64_t k = 0; k < inner; k += deep) {
    const int64_t depth = std::min(deep, inner - k), words = words_of<Dot>(depth);
    const auto tile = [&](int64_t i, int64_t j, const uint32_t* x, const uint32_t* y) {
      const View to(c.row(i) + j, std::min<int64_t>(tile_rows, c.rows - i), std::min<int64_t>(tile_cols, c.cols - j),
                    c.stride);
      const Ending end{k == 0 ? beta : 1.f, k == 0 && bias.data ? bias.row(0) + j : nullptr};
      if (to.rows == tile_rows && to.cols == tile_cols)
        multiply_tile<Dot>(words, x, y, to.row(0), to.stride, end);
      else
        multiply_edge<Dot>(words, x, y, to, end);
    };
    for (int64_t j = 0; j < c.cols; j += block_cols) {
      const int64_t cols = std::min(block_cols, c.cols - j);
      pack_panels<Dot, tile_cols>(b, j, k, cols, depth, right);
      for (int64_t i = 0; i < c.rows; i += block_rows) {
        const int64_t rows = std::min(block_rows, c.rows - i);
        pack_panels<Dot, tile_rows>(a, i, k, rows, depth, left);
        for (int64_t u = 0; u < rows; u += tile_rows)
          for (int64_t v = 0; v < cols; v += tile_cols) tile(i + u, j + v, left + u * words, right + v * words);
      }
    }
  }
}

template <class T>
Operand<T> operand(ConstView x, bool inner_is_contiguous) {
  return {static_cast<const T*>(x.data), inner_is_contiguous ? x.stride : 1, inner_is_contiguous ? 1 : x.stride};
}

}  // namespace

DotProduct fastest_bf16() {
#if defined(__AVX512BF16__)
  return DotProduct::bf16;
#else
  return DotProduct::bf16_portable;
#endif
}

void gemm_panels(DotProduct how, Transposed ta, ConstView a, Transposed tb, ConstView b, float beta, View c,
                 ConstView bias, PackBuffer& pack) {
  const bool a_along = ta == Transposed::no, b_along = tb == Transposed::yes;
  const int64_t inner = a_along ? a.cols : a.rows;
  const auto with = [&]<class Dot, class A, class B>(Dot, A, B) {
    multiply<Dot>(operand<A>(a, a_along), operand<B>(b, b_along), inner, beta, c, bias, pack);
  };
  const auto pairs = [&](auto dot) {
    const bool a_short = a.dtype == DType::bf16, b_short = b.dtype == DType::bf16;
    if (a_short)
      b_short ? with(dot, uint16_t{}, uint16_t{}) : with(dot, uint16_t{}, float{});
    else
      b_short ? with(dot, float{}, uint16_t{}) : with(dot, float{}, float{});
  };
  if (how == DotProduct::f32) return with(Single{}, float{}, float{});
#if defined(__AVX512BF16__)
  if (how == DotProduct::bf16) return pairs(NativePair{});
#else
  require(how != DotProduct::bf16, "gemm: this build has no bf16 instructions");
#endif
  pairs(PortablePair{});
}

}  // namespace shear::cpu
