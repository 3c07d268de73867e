// Short codes pass through a run of one byte per value, eight of which are squeezed into, or spread from, one word.
#include "backends/cpu/codes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace shear::cpu {

namespace {

// Blocks side by side, as vectors: what StreamKey::four says of each.  Several times eight of them hide how long a
// round takes.
template <int Blocks, class Out, class As>
void draw_blocks(const StreamKey& stream, uint32_t first_block, Out* out, As as) {
  uint32_t c[4][Blocks];
  const uint64_t mixed = stream.seed ^ (uint64_t{stream.purpose} << 56);
  uint32_t k0 = static_cast<uint32_t>(mixed), k1 = static_cast<uint32_t>(mixed >> 32);
  for (uint32_t b = 0; b < Blocks; ++b)
    c[0][b] = first_block + b, c[1][b] = stream.a, c[2][b] = stream.b, c[3][b] = stream.purpose;
  for (int round = 0; round < Philox::rounds; ++round) {
#pragma omp simd
    for (int b = 0; b < Blocks; ++b) {
      const uint64_t x = uint64_t{Philox::multiplier_0} * c[0][b], y = uint64_t{Philox::multiplier_2} * c[2][b];
      c[0][b] = static_cast<uint32_t>(y >> 32) ^ c[1][b] ^ k0;
      c[1][b] = static_cast<uint32_t>(y);
      c[2][b] = static_cast<uint32_t>(x >> 32) ^ c[3][b] ^ k1;
      c[3][b] = static_cast<uint32_t>(x);
    }
    k0 += Philox::weyl_0;
    k1 += Philox::weyl_1;
  }
  for (int of = 0; of < Blocks; of += 8, out += drawn)
    for (int w = 0; w < 4; ++w) {
#pragma omp simd
      for (int b = 0; b < 8; ++b) {
        const uint32_t word = c[w][of + b];
        out[w * 16 + b] = as(word & 0xffff);
        out[w * 16 + 8 + b] = as(word >> 16);
      }
    }
}

template <class Out, class As>
void draw_as(const StreamKey& stream, uint32_t first_block, int64_t n, Out* out, As as) {
  for (; n >= 4 * drawn; n -= 4 * drawn, first_block += 32, out += 4 * drawn)
    draw_blocks<32>(stream, first_block, out, as);
  for (; n > 0; n -= drawn, first_block += 8, out += drawn) draw_blocks<8>(stream, first_block, out, as);
}

}  // namespace

void draw(const StreamKey& stream, uint32_t first_block, int64_t n, float* out) {
  draw_as(stream, first_block, n, out,
          [](uint32_t half) { return (static_cast<float>(static_cast<int>(half)) + 0.5f) * 0x1p-16f; });
}
void draw_halves(const StreamKey& stream, uint32_t first_block, int64_t n, uint32_t* out) {
  draw_as(stream, first_block, n, out, [](uint32_t half) { return half; });
}

namespace {

static_assert(std::endian::native == std::endian::little, "eight codes are one word, the first in its low bits");
constexpr int64_t at_once = 256;  // values

struct Inverse {  // of an affine map
  float offset, factor;
};
float inverse_of(float scale) { return scale >= std::numeric_limits<float>::min() ? 1.f / scale : 0.f; }

uint64_t squeeze4(uint64_t x) {
  x = (x | x >> 4) & 0x00ff00ff00ff00ffu;
  x = (x | x >> 8) & 0x0000ffff0000ffffu;
  return (x | x >> 16) & 0xffffffffu;
}
uint64_t squeeze3(uint64_t x) {
  x = (x | x >> 5) & 0x003f003f003f003fu;
  x = (x | x >> 10) & 0x00000fff00000fffu;
  return (x | x >> 20) & 0xffffffu;
}
uint64_t squeeze2(uint64_t x) {
  x = (x | x >> 6) & 0x000f000f000f000fu;
  x = (x | x >> 12) & 0x000000ff000000ffu;
  return (x | x >> 24) & 0xffffu;
}
uint64_t spread4(uint64_t x) {
  x = (x | x << 16) & 0x0000ffff0000ffffu;
  x = (x | x << 8) & 0x00ff00ff00ff00ffu;
  return (x | x << 4) & 0x0f0f0f0f0f0f0f0fu;
}
uint64_t spread3(uint64_t x) {
  x = (x | x << 20) & 0x00000fff00000fffu;
  x = (x | x << 10) & 0x003f003f003f003fu;
  return (x | x << 5) & 0x0707070707070707u;
}
uint64_t spread2(uint64_t x) {
  x = (x | x << 24) & 0x000000ff000000ffu;
  x = (x | x << 12) & 0x000f000f000f000fu;
  return (x | x << 6) & 0x0303030303030303u;
}

// n bytes, of which the last word is filled up, to n codes of `Bits` bits.  A word of 3 bits writes a byte too many,
// over which the next one comes: no copy of an odd length.
template <int Bits>
void squeeze(const uint8_t* bytes, int64_t n, uint8_t* codes) {
  const auto word = [&](int64_t i) {
    uint64_t x;
    std::memcpy(&x, bytes + i, 8);
    return Bits == 4 ? squeeze4(x) : Bits == 3 ? squeeze3(x) : squeeze2(x);
  };
  constexpr size_t whole = Bits == 2 ? 2 : 4;
  int64_t i = 0;
  for (; i + 8 < n; i += 8) {
    const uint64_t x = word(i);
    std::memcpy(codes + i * Bits / 8, &x, whole);
  }
  if (i < n) {
    const uint64_t x = word(i);
    std::memcpy(codes + i * Bits / 8, &x, static_cast<size_t>((n - i) * Bits + 7) / 8);
  }
}

template <int Bits>
void spread(const uint8_t* codes, int64_t n, uint8_t* bytes) {
  const auto spread_word = [&](int64_t i, uint64_t x) {
    x = Bits == 4 ? spread4(x) : Bits == 3 ? spread3(x & 0xffffff) : spread2(x);
    std::memcpy(bytes + i, &x, 8);
  };
  constexpr size_t whole = Bits == 2 ? 2 : 4;
  int64_t i = 0;
  for (; i + 8 < n; i += 8) {
    uint64_t x = 0;
    std::memcpy(&x, codes + i * Bits / 8, whole);
    spread_word(i, x);
  }
  if (i < n) {
    uint64_t x = 0;
    std::memcpy(&x, codes + i * Bits / 8, static_cast<size_t>((n - i) * Bits + 7) / 8);
    spread_word(i, x);
  }
}

void squeeze(const uint8_t* bytes, int64_t n, int bits, uint8_t* codes) {
  bits == 4 ? squeeze<4>(bytes, n, codes) : bits == 3 ? squeeze<3>(bytes, n, codes) : squeeze<2>(bytes, n, codes);
}
void spread(const uint8_t* codes, int64_t n, int bits, uint8_t* bytes) {
  bits == 4 ? spread<4>(codes, n, bytes) : bits == 3 ? spread<3>(codes, n, bytes) : spread<2>(codes, n, bytes);
}

// Up to at_once values of row `row`, from `first`, a multiple of at_once; affine(i) says how the i-th of them is coded.
template <class AffineOf>
void encode(const float* x, int64_t count, int bits, const StreamKey* stream, int64_t row, int64_t first,
            int64_t row_cols, uint8_t* codes, AffineOf affine) {
  const float top = static_cast<float>((1 << bits) - 1);
  uint8_t bytes[at_once];
  float up[at_once];
  uint8_t* to = bits == 8 ? codes + first : bytes;
  const auto code = [=](float v, Inverse to_code, float rounding) {
    return static_cast<uint8_t>(
        static_cast<int>(std::min(std::max((v - to_code.offset) * to_code.factor + rounding, 0.f), top)));
  };
  if (stream) {
    const int64_t draws = (row_cols + drawn - 1) / drawn;  // rows begin with numbers of their own
    draw(*stream, static_cast<uint32_t>((row * draws + first / drawn) * 8), count, up);
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) to[i] = code(x[i], affine(i), up[i]);
  } else {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) to[i] = code(x[i], affine(i), 0.5f);
  }
  if (bits == 8) return;
  for (int64_t i = count; i % 8 != 0; ++i) bytes[i] = 0;
  squeeze(bytes, count, bits, codes + first / 8 * bits);
}

// The bytes of a row's codes, some at a time: `use(first, count, bytes)`.
template <class Use>
void each_run(const uint8_t* codes, int64_t n, int bits, Use use) {
  uint8_t bytes[at_once];
  for (int64_t first = 0; first < n; first += at_once) {
    const int64_t count = std::min(at_once, n - first);
    if (bits != 8) spread(codes + first / 8 * bits, count, bits, bytes);
    use(first, count, bits == 8 ? codes + first : bytes);
  }
}

}  // namespace

Affine range_of(const float* x, int64_t n, int bits) {
  float low = x[0], high = x[0];
#pragma omp simd reduction(min : low) reduction(max : high)
  for (int64_t i = 0; i < n; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
  }
  return {low, (high - low) / static_cast<float>((1 << bits) - 1)};
}

void encode_row(const float* x, int64_t n, int bits, Affine affine, const StreamKey* stream, int64_t row,
                uint8_t* codes) {
  const Inverse to_code{affine.offset, inverse_of(affine.scale)};
  for (int64_t first = 0; first < n; first += at_once)
    encode(x + first, std::min(at_once, n - first), bits, stream, row, first, n, codes,
           [=](int64_t) { return to_code; });
}

static_assert(strip_cols == at_once);

StripRanges::StripRanges(int64_t cols) : cols_(cols) {
  std::fill_n(low_, cols, std::numeric_limits<float>::infinity());
  std::fill_n(high_, cols, -std::numeric_limits<float>::infinity());
}

void StripRanges::widen(const float* x) {
#pragma omp simd
  for (int64_t i = 0; i < cols_; ++i) {
    low_[i] = x[i] < low_[i] ? x[i] : low_[i];
    high_[i] = x[i] > high_[i] ? x[i] : high_[i];
  }
}

void StripRanges::settle(int bits, CodeRange* ranges) {
  const float last_code = static_cast<float>((1 << bits) - 1);
  for (int64_t i = 0; i < cols_; ++i) {
    const CodeRange range = ranges[i] = code_range(low_[i], high_[i], last_code);
    low_[i] = range.offset(), high_[i] = inverse_of(range.scale());
  }
}

void StripRanges::encode_row(const float* x, int bits, const StreamKey* stream, int64_t row, int64_t first,
                             int64_t row_cols, uint8_t* codes) const {
  encode(x, cols_, bits, stream, row, first, row_cols, codes, [this](int64_t i) { return Inverse{low_[i], high_[i]}; });
}

void decode_row(const uint8_t* codes, int64_t n, int bits, Affine affine, float* out) {
  const float low = affine.offset, scale = affine.scale;
  // offset + scale * code need not be zero at zero's code: the sum is rounded, or the product is and the sum is not.
  // Scaled from there, it is; and so is the slope of one, on its grid.
  const float zero = -low / scale;
  const bool has_zero = zero >= 0 && zero <= 255 && zero == std::floor(zero);
  each_run(codes, n, bits, [&](int64_t first, int64_t count, const uint8_t* from) {
    float* to = out + first;
    if (has_zero) {
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) to[i] = (static_cast<float>(from[i]) - zero) * scale;
    } else {
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) to[i] = low + scale * static_cast<float>(from[i]);
    }
  });
}

void decode_row(const uint8_t* codes, int64_t n, int bits, const CodeRange* ranges, float* out) {
  each_run(codes, n, bits, [&](int64_t first, int64_t count, const uint8_t* from) {
    float* to = out + first;
    uint32_t pairs[at_once];  // as words, which vectors take apart
    std::memcpy(pairs, ranges + first, static_cast<size_t>(count) * sizeof(CodeRange));
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) {
      const auto offset = std::bit_cast<float>(pairs[i] << 16), scale = std::bit_cast<float>(pairs[i] & 0xffff0000u);
      to[i] = offset + scale * static_cast<float>(from[i]);
    }
  });
}

}  // namespace shear::cpu
