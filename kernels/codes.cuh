// Values as affine codes of 8, 4, 3 or 2 bits: offset + scale * code.  Low bits come first.
//
// Bytes moved, for 8, 4, 3 and 2 bits, with 8 a row for the affine map: `encode_kernel` at least 5.04, 4.54, 4.42 and
// 4.29, counted 9.33, 8.83, 9.08 and 8.75: a row's range is found in a pass before, and its values come from the cache
// the second time.  Columns of a choice: see pack.cu.  `decode_kernel` at least the same, counted 5.33: a warp reads 8
// to 32 bytes of codes at once, of sectors of 32; and 6.83 for 3 bits, some of whose codes lie in two bytes.
// `encode_groups_kernel`, of 3 bits with 4 bytes for each 64, at least 4.44, counted 9.04: a block's rows are read
// twice, the second time from the cache; `decode_groups_kernel` at least 4.44, counted 10.5, with a pair for each
// value.
//
// Ranges have the CPU's bits, and codes too where its compiler rounds a product and the sum after it once (fma), as
// this does.  Slopes are within 1e-6 of the CPU's.  At the border between two codes one may take this and the other
// that.
#pragma once
#include <limits>

#include "kernels/reduce.cuh"
#include "kernels/source.cuh"
#include "kernels/warp_rows.cuh"
#include "shear/random.h"

namespace shear::cuda {

namespace {

constexpr int drawn = 64;  // values whose roundings are drawn together: 16 bits of each word of 8 Philox blocks
constexpr int tile = 256;  // values that a warp encodes together, 8 a lane

struct Affine {
  float offset, scale;
};

// From the smallest to the largest value of a row, in every lane.  Nan is passed over.
__device__ __forceinline__ Affine range_of(const SourceRow& row, int64_t cols, float top) {
  float low = INFINITY, high = -INFINITY;
  for (int64_t c = threadIdx.x % 32; c < cols; c += 32) {
    const float v = row.at(c);
    low = fminf(low, v);
    high = fmaxf(high, v);
  }
  low = -warp_max(-low);
  high = warp_max(high);
  return {low, (high - low) / top};
}

// What a warp has at hand of a row: lane l of a tile draws block l % 8 of the 64 values at 64 * (l / 8), and so rounds
// every eighth of them.
struct TileLane {
  int lane, block, chunk;

  __device__ __forceinline__ TileLane()
      : lane(threadIdx.x % 32), block(threadIdx.x % 8), chunk(static_cast<int>(threadIdx.x % 32) / 8) {}
  __device__ __forceinline__ int at(int i) const { return chunk * drawn + i * 8 + block; }
};

__device__ __forceinline__ float inverse_of(float scale) {
  constexpr float smallest = std::numeric_limits<float>::min();
  return scale >= smallest ? 1.f / scale : 0.f;
}

// How a lane's i-th value is rounded: up at random, or from the half on.
__device__ __forceinline__ float rounding_up(const std::array<uint32_t, 4>& words, int i, bool at_random) {
  const uint32_t half = i % 2 == 0 ? words[i / 2] & 0xffff : words[i / 2] >> 16;
  return at_random ? (static_cast<float>(half) + 0.5f) * 0x1p-16f : 0.5f;
}

// Codes of a tile, one byte each, to where they lie in order; what fills up the last byte is zero.
template <int Bits>
__device__ __forceinline__ void write_codes(const uint8_t* bytes, int n, int lane, uint8_t* to) {
  if constexpr (Bits == 3) {
    for (int i = lane; i < (n * 3 + 7) / 8; i += 32) {
      const int first = i * 8 / 3;  // of the four codes that hold the bits of a byte
      uint32_t bits = 0;
#pragma unroll
      for (int k = 0; k < 4; ++k)
        if (first + k < tile) bits |= static_cast<uint32_t>(bytes[first + k]) << (3 * k);
      to[i] = static_cast<uint8_t>(bits >> (i * 8 - first * 3));
    }
  } else {
    constexpr int in_byte = 8 / Bits;
    for (int i = lane; i < (n + in_byte - 1) / in_byte; i += 32) {
      uint32_t byte = 0;
#pragma unroll
      for (int k = 0; k < in_byte; ++k) byte |= static_cast<uint32_t>(bytes[i * in_byte + k]) << (Bits * k);
      to[i] = static_cast<uint8_t>(byte);
    }
  }
}

template <int Bits>
__device__ __forceinline__ uint32_t code_at(const uint8_t* codes, int64_t c) {
  if constexpr (Bits == 3) {
    const int64_t byte = c * 3 / 8;
    const int shift = static_cast<int>(c * 3 % 8);
    uint32_t bits = codes[byte];
    if (shift > 5) bits |= static_cast<uint32_t>(codes[byte + 1]) << 8;
    return bits >> shift & 7;
  } else {
    constexpr int in_byte = 8 / Bits;
    return codes[c / in_byte] >> (c % in_byte * Bits) & ((1 << Bits) - 1);
  }
}

// A warp takes a row.  Codes go to shared memory, whence they are taken in order.
template <int Bits>
__global__ void __launch_bounds__(pack_threads)
    encode_kernel(Source source, int64_t rows, int64_t cols, bool on_grid, SlopeGrid grid, bool at_random,
                  StreamKey stream, int64_t row_bytes, uint8_t* codes, float* affine) {
  __shared__ uint8_t room[pack_warps][tile];
  const int64_t r = row_of_warp();
  if (r >= rows) return;
  const TileLane of;
  uint8_t* const of_warp = room[threadIdx.x / 32];
  constexpr float top = (1 << Bits) - 1;
  const SourceRow row = source.row(r);
  const Affine map = on_grid ? Affine{grid.offset, grid.scale} : range_of(row, cols, top);
  if (of.lane == 0) affine[2 * r] = map.offset, affine[2 * r + 1] = map.scale;
  const float inverse = inverse_of(map.scale);
  const int64_t draws = (cols + drawn - 1) / drawn;  // rows begin with numbers of their own
  auto counter = static_cast<uint32_t>((r * draws + of.chunk) * 8 + of.block);
  uint8_t* to = codes + r * row_bytes;
  for (int64_t first = 0; first < cols; first += tile, to += tile / 8 * Bits, counter += tile / drawn * 8) {
    const std::array<uint32_t, 4> words = at_random ? stream.four(counter) : std::array<uint32_t, 4>{};
    const int n = cols - first < tile ? static_cast<int>(cols - first) : tile;
    float values[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) values[i] = of.at(i) < n ? row.raw(first + of.at(i)) : 0.f;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      float code = 0;
      if (of.at(i) < n)
        code = fminf(
            fmaxf(fmaf(slope_of(row.slope, values[i]) - map.offset, inverse, rounding_up(words, i, at_random)), 0.f),
            top);
      of_warp[of.at(i)] = static_cast<uint8_t>(code);
    }
    __syncwarp();
    write_codes<Bits>(of_warp, n, of.lane, to);
    __syncwarp();
  }
}

// A block takes a tile's columns of the rows that share their ranges: in a first pass each warp widens them to every
// eighth row, a thread settles those of a column, and each warp encodes its rows.
template <int Bits>
__global__ void __launch_bounds__(pack_threads)
    encode_groups_kernel(Source source, int64_t rows, int64_t cols, int group, bool at_random, StreamKey stream,
                         int64_t row_bytes, uint8_t* codes, CodeRange* ranges) {
  static_assert(pack_threads == tile, "a thread settles a column");
  __shared__ uint8_t room[pack_warps][tile];
  __shared__ float lows[pack_warps][tile], highs[pack_warps][tile];
  const TileLane of;
  const int warp = threadIdx.x / 32;
  constexpr float top = (1 << Bits) - 1;
  const int64_t tiles = (cols + tile - 1) / tile, its_group = blockIdx.x / tiles, first = blockIdx.x % tiles * tile;
  const int64_t begin = its_group * group, end = rows - begin < group ? rows : begin + group;
  const int n = cols - first < tile ? static_cast<int>(cols - first) : tile;

  float low[8], high[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) low[i] = INFINITY, high[i] = -INFINITY;
  for (int64_t r = begin + warp; r < end; r += pack_warps) {
    const SourceRow row = source.row(r);
#pragma unroll
    for (int i = 0; i < 8; ++i)
      if (of.at(i) < n) {
        const float v = row.raw(first + of.at(i));
        low[i] = fminf(low[i], v), high[i] = fmaxf(high[i], v);
      }
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) lows[warp][of.at(i)] = low[i], highs[warp][of.at(i)] = high[i];
  __syncthreads();
  const int c = threadIdx.x;
  for (int w = 1; w < pack_warps; ++w) {
    lows[0][c] = fminf(lows[0][c], lows[w][c]);
    highs[0][c] = fmaxf(highs[0][c], highs[w][c]);
  }
  const CodeRange range = code_range(lows[0][c], highs[0][c], top);
  if (c < n) ranges[its_group * cols + first + c] = range;
  lows[0][c] = range.offset();
  highs[0][c] = inverse_of(range.scale());
  __syncthreads();

#pragma unroll
  for (int i = 0; i < 8; ++i) low[i] = lows[0][of.at(i)], high[i] = highs[0][of.at(i)];  // offset, one over the scale
  const int64_t draws = (cols + drawn - 1) / drawn;  // rows begin with numbers of their own
  for (int64_t r = begin + warp; r < end; r += pack_warps) {
    const SourceRow row = source.row(r);
    const auto counter = static_cast<uint32_t>((r * draws + first / drawn + of.chunk) * 8 + of.block);
    const std::array<uint32_t, 4> words = at_random ? stream.four(counter) : std::array<uint32_t, 4>{};
    float values[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) values[i] = of.at(i) < n ? row.raw(first + of.at(i)) : 0.f;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      float code = 0;
      if (of.at(i) < n)
        code = fminf(fmaxf(fmaf(values[i] - low[i], high[i], rounding_up(words, i, at_random)), 0.f), top);
      room[warp][of.at(i)] = static_cast<uint8_t>(code);
    }
    __syncwarp();
    write_codes<Bits>(room[warp], n, of.lane, codes + r * row_bytes + first / 8 * Bits);
    __syncwarp();
  }
}

// A warp takes a row.  offset + scale * code need not be zero at zero's code, so that what has such a code is scaled
// from there.
template <int Bits>
__global__ void __launch_bounds__(pack_threads)
    decode_kernel(const uint8_t* codes, const float* affine, int64_t first_row, int64_t rows, int64_t cols,
                  int64_t row_bytes, float* out, int64_t stride) {
  const int64_t i = row_of_warp(), r = first_row + i;
  if (i >= rows) return;
  const uint8_t* const from = codes + r * row_bytes;
  const float offset = affine[2 * r], scale = affine[2 * r + 1];
  const float zero = -offset / scale;
  const bool has_zero = zero >= 0 && zero <= 255 && zero == floorf(zero);
  for (int64_t c = threadIdx.x % 32; c < cols; c += 32) {
    const float v = static_cast<float>(code_at<Bits>(from, c));
    out[i * stride + c] = has_zero ? (v - zero) * scale : fmaf(scale, v, offset);
  }
}

template <int Bits>
__global__ void __launch_bounds__(pack_threads)
    decode_groups_kernel(const uint8_t* codes, const CodeRange* ranges, int group, int64_t first_row, int64_t rows,
                         int64_t cols, int64_t row_bytes, float* out, int64_t stride) {
  const int64_t i = row_of_warp(), r = first_row + i;
  if (i >= rows) return;
  const uint8_t* const from = codes + r * row_bytes;
  const CodeRange* const of_row = ranges + r / group * cols;
  for (int64_t c = threadIdx.x % 32; c < cols; c += 32) {
    const CodeRange range = of_row[c];
    out[i * stride + c] = fmaf(range.scale(), static_cast<float>(code_at<Bits>(from, c)), range.offset());
  }
}

}  // namespace

}  // namespace shear::cuda
