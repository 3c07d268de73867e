// Goto & van de Geijn's order of blocks (2008): a block of b, packed once, streams past a few panels of a.  Packing
// rounds to bf16 and puts pairs of neighbours along the inner dimension into one word, which is what the dot product of
// the chip takes.
#include "cpu/gemm_bf16.h"

#include <algorithm>
#include <bit>
#include <type_traits>

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include "cpu/short_types.h"

namespace shear::cpu {

namespace {

constexpr int lanes = 16;
constexpr int tile_rows = 14, tile_vectors = 2, tile_cols = tile_vectors * lanes;  // 28 sums in 32 registers
constexpr int64_t block_rows = 8 * tile_rows, block_cols = 48 * tile_cols;
static_assert(PackBuffer::depth % 2 == 0);
static_assert((block_rows + block_cols) * PackBuffer::depth * 2 <= static_cast<int64_t>(PackBuffer::bytes));
static_assert(block_rows * PackBuffer::depth * 2 % 64 == 0);

using Floats = float __attribute__((vector_size(4 * lanes)));
using Words = uint32_t __attribute__((vector_size(4 * lanes)));
using LooseFloats = float __attribute__((vector_size(4 * lanes), aligned(4)));

// Two numbers as bf16, the first in the low half.
inline uint32_t pair(float low, float high) {
  return bf16_in_high_half(low) >> 16 | (bf16_in_high_half(high) & 0xffff0000u);
}
inline uint32_t pair(uint16_t low, uint16_t high) { return low | static_cast<uint32_t>(high) << 16; }

#if defined(__AVX512BF16__)
struct Native {
  static Floats add(Floats sum, uint32_t a, Words b) {
    return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(static_cast<int>(a)), (__m512bh)b);
  }
};
#endif
struct Portable {
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

// One panel: `count` of `Width` outer indices and `depth` inner ones from `from` on, which lie along the inner
// dimension, in words [inner / 2][Width].
template <int Width, class Count, class T>
void pack_along(const T* from, int64_t by_outer, Count count, int64_t depth, uint32_t* to) {
  constexpr int64_t piece = 16;
  const int64_t whole = depth / 2;
  for (int64_t first = 0; first < whole; first += piece) {
    const int64_t n = std::min(piece, whole - first);
    uint32_t words[Width][piece];
    for (int64_t w = 0; w < count; ++w) {
      const T* row = from + w * by_outer + 2 * first;
      for (int64_t i = 0; i < n; ++i) words[w][i] = pair(row[2 * i], row[2 * i + 1]);
    }
    for (int64_t i = 0; i < n; ++i)
      for (int64_t w = 0; w < count; ++w) to[(first + i) * Width + w] = words[w][i];
  }
  if (depth % 2 != 0)
    for (int64_t w = 0; w < count; ++w) to[whole * Width + w] = pair(from[w * by_outer + depth - 1], T{});
}

// Word `i` of the inner dimension of one panel, whose outer indices lie side by side.
template <int Width, class Count, class T>
void pack_across(const T* low, const T* high, Count count, uint32_t* to) {
#pragma omp simd
  for (int64_t w = 0; w < count; ++w) to[w] = pair(low[w], high ? high[w] : T{});
}

// `count` outer indices in panels of `Width`, `depth` inner ones; what is not there is zero.
template <int Width, class T>
void pack_panels(Operand<T> x, int64_t outer, int64_t inner, int64_t count, int64_t depth, uint32_t* to) {
  const T* from = x.data + outer * x.by_outer + inner * x.by_inner;
  const int64_t words = (depth + 1) / 2, whole = count / Width, rest = count % Width;
  constexpr std::integral_constant<int64_t, Width> full;  // known when compiled: its loops become vectors
  if (x.by_inner == 1) {
    for (int64_t p = 0; p < whole; ++p)
      pack_along<Width>(from + p * Width * x.by_outer, x.by_outer, full, depth, to + p * Width * words);
    if (rest > 0)
      pack_along<Width>(from + whole * Width * x.by_outer, x.by_outer, rest, depth, to + whole * Width * words);
  } else {  // all panels of a row at once: it lies in few cache lines
    for (int64_t i = 0; i < words; ++i) {
      const T *low = from + 2 * i * x.by_inner, *high = 2 * i + 1 < depth ? low + x.by_inner : nullptr;
      const auto second = [&](int64_t p) { return high ? high + p * Width : nullptr; };
      for (int64_t p = 0; p < whole; ++p)
        pack_across<Width>(low + p * Width, second(p), full, to + (p * words + i) * Width);
      if (rest > 0) pack_across<Width>(low + whole * Width, second(whole), rest, to + (whole * words + i) * Width);
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
  auto* left = reinterpret_cast<uint32_t*>(pack.left());
  uint32_t* right = left + block_rows * PackBuffer::depth / 2;
  for (int64_t k = 0; k < inner; k += PackBuffer::depth) {
    const int64_t depth = std::min(PackBuffer::depth, inner - k), words = (depth + 1) / 2;
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
      pack_panels<tile_cols>(b, j, k, cols, depth, right);
      for (int64_t i = 0; i < c.rows; i += block_rows) {
        const int64_t rows = std::min(block_rows, c.rows - i);
        pack_panels<tile_rows>(a, i, k, rows, depth, left);
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

bool has_native_bf16() {
#if defined(__AVX512BF16__)
  return true;
#else
  return false;
#endif
}

void gemm_bf16_serial(Transposed ta, ConstView a, Transposed tb, ConstView b, float beta, View c, ConstView bias,
                      PackBuffer& pack, DotProduct how) {
  const bool a_along = ta == Transposed::no, b_along = tb == Transposed::yes;
  const int64_t inner = a_along ? a.cols : a.rows;
  const auto with = [&](auto dot, auto left, auto right) {
    multiply<decltype(dot)>(left, right, inner, beta, c, bias, pack);
  };
  const auto with_types = [&](auto dot) {
    const bool a_short = a.dtype == DType::bf16, b_short = b.dtype == DType::bf16;
    if (a_short && b_short)
      with(dot, operand<uint16_t>(a, a_along), operand<uint16_t>(b, b_along));
    else if (a_short)
      with(dot, operand<uint16_t>(a, a_along), operand<float>(b, b_along));
    else if (b_short)
      with(dot, operand<float>(a, a_along), operand<uint16_t>(b, b_along));
    else
      with(dot, operand<float>(a, a_along), operand<float>(b, b_along));
  };
#if defined(__AVX512BF16__)
  if (how == DotProduct::native) return with_types(Native{});
#endif
  (void)how;
  with_types(Portable{});
}

}  // namespace shear::cpu
