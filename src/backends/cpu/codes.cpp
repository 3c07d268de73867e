// Short codes pass through a run of one byte per value, eight of which are squeezed into, or spread from, one word.
#include "backends/cpu/codes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace shear::cpu {

void draw(const StreamKey& stream, uint32_t first_block, float* out) {
  uint32_t words[4][8];
  for (uint32_t b = 0; b < 8; ++b) {
    const auto four = stream.four(first_block + b);
    words[0][b] = four[0], words[1][b] = four[1], words[2][b] = four[2], words[3][b] = four[3];
  }
  for (int w = 0; w < 4; ++w) {
#pragma omp simd
    for (int b = 0; b < 8; ++b) {
      out[w * 16 + b] = (static_cast<float>(static_cast<int>(words[w][b] & 0xffff)) + 0.5f) * 0x1p-16f;
      out[w * 16 + 8 + b] = (static_cast<float>(static_cast<int>(words[w][b] >> 16)) + 0.5f) * 0x1p-16f;
    }
  }
}

namespace {

static_assert(std::endian::native == std::endian::little, "eight codes are one word, the first in its low bits");
constexpr int64_t at_once = 256;  // values

uint64_t squeeze4(uint64_t x) {
  x = (x | x >> 4) & 0x00ff00ff00ff00ffu;
  x = (x | x >> 8) & 0x0000ffff0000ffffu;
  return (x | x >> 16) & 0xffffffffu;
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
uint64_t spread2(uint64_t x) {
  x = (x | x << 24) & 0x000000ff000000ffu;
  x = (x | x << 12) & 0x000f000f000f000fu;
  return (x | x << 6) & 0x0303030303030303u;
}

// n bytes, of which the last word is filled up, to n codes of `Bits` bits.
template <int Bits>
void squeeze(const uint8_t* bytes, int64_t n, uint8_t* codes) {
  const auto word = [&](int64_t i) {
    uint64_t x;
    std::memcpy(&x, bytes + i, 8);
    return Bits == 4 ? squeeze4(x) : squeeze2(x);
  };
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const uint64_t x = word(i);
    std::memcpy(codes + i * Bits / 8, &x, Bits);
  }
  if (i < n) {
    const uint64_t x = word(i);
    std::memcpy(codes + i * Bits / 8, &x, static_cast<size_t>((n - i) * Bits + 7) / 8);
  }
}

template <int Bits>
void spread(const uint8_t* codes, int64_t n, uint8_t* bytes) {
  const auto word = [&](int64_t i, size_t count) {
    uint64_t x = 0;
    std::memcpy(&x, codes + i * Bits / 8, count);
    x = Bits == 4 ? spread4(x) : spread2(x);
    std::memcpy(bytes + i, &x, 8);
  };
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) word(i, Bits);
  if (i < n) word(i, static_cast<size_t>((n - i) * Bits + 7) / 8);
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
  const float low = affine.offset, top = static_cast<float>((1 << bits) - 1);
  const float inverse = affine.scale >= std::numeric_limits<float>::min() ? 1.f / affine.scale : 0.f;
  const auto code = [=](float v, float rounding) {
    return static_cast<uint8_t>(static_cast<int>(std::min(std::max((v - low) * inverse + rounding, 0.f), top)));
  };
  uint8_t bytes[at_once];
  float up[at_once];
  const int64_t draws = (n + drawn - 1) / drawn;  // rows begin with numbers of their own
  for (int64_t first = 0; first < n; first += at_once) {
    const int64_t count = std::min(at_once, n - first);
    const float* v = x + first;
    uint8_t* to = bits == 8 ? codes + first : bytes;
    if (stream) {
      for (int64_t i = 0; i < count; i += drawn)
        draw(*stream, static_cast<uint32_t>((row * draws + (first + i) / drawn) * 8), up + i);
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) to[i] = code(v[i], up[i]);
    } else {
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) to[i] = code(v[i], 0.5f);
    }
    if (bits == 8) continue;
    for (int64_t i = count; i % 8 != 0; ++i) bytes[i] = 0;
    bits == 4 ? squeeze<4>(bytes, count, codes + first / 2) : squeeze<2>(bytes, count, codes + first / 4);
  }
}

void decode_row(const uint8_t* codes, int64_t n, int bits, Affine affine, float* out) {
  const float low = affine.offset, scale = affine.scale;
  // offset + scale * code need not be zero at zero's code: the sum is rounded, or the product is and the sum is not.
  // Scaled from there, it is; and so is the slope of one, on its grid.
  const float zero = -low / scale;
  const bool has_zero = zero >= 0 && zero <= 255 && zero == std::floor(zero);
  uint8_t bytes[at_once];
  for (int64_t first = 0; first < n; first += at_once) {
    const int64_t count = std::min(at_once, n - first);
    const uint8_t* from = bits == 8 ? codes + first : bytes;
    if (bits == 4) spread<4>(codes + first / 2, count, bytes);
    if (bits == 2) spread<2>(codes + first / 4, count, bytes);
    float* to = out + first;
    if (has_zero) {
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) to[i] = (static_cast<float>(from[i]) - zero) * scale;
    } else {
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) to[i] = low + scale * static_cast<float>(from[i]);
    }
  }
}

}  // namespace shear::cpu
