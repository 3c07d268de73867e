// Values as affine codes of 8, 4 or 2 bits: offset + scale * code.  Low bits come first.
//
// Bytes moved, for 8, 4 and 2 bits, with 8 a row for the affine map: `encode_kernel` at least 5.04, 4.54, 4.29, counted
// 9.33, 8.83, 8.75: a row's range is found in a pass before, and its values come from the cache the second time.
// Columns of a choice: see pack.cu.  `decode_kernel` at least the same, counted 5.33: a warp reads 8 to 32 bytes of
// codes at once, of sectors of 32.
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

// A warp takes a row.  Lane l of a tile draws block l % 8 of the 64 values at 64 * (l / 8), and so rounds every eighth
// of them: its codes go to shared memory, whence they are taken in order.
template <int Bits>
__global__ void __launch_bounds__(pack_threads)
    encode_kernel(Source source, int64_t rows, int64_t cols, bool on_grid, SlopeGrid grid, bool at_random,
                  StreamKey stream, int64_t row_bytes, uint8_t* codes, float* affine) {
  __shared__ uint8_t room[pack_warps][tile];
  const int64_t r = row_of_warp();
  if (r >= rows) return;
  const int lane = threadIdx.x % 32, block = lane % 8, group = lane / 8;
  uint8_t* const of_warp = room[threadIdx.x / 32];
  constexpr float top = (1 << Bits) - 1, smallest = std::numeric_limits<float>::min();
  const SourceRow row = source.row(r);
  const Affine map = on_grid ? Affine{grid.offset, grid.scale} : range_of(row, cols, top);
  if (lane == 0) affine[2 * r] = map.offset, affine[2 * r + 1] = map.scale;
  const float inverse = map.scale >= smallest ? 1.f / map.scale : 0.f;
  const int64_t draws = (cols + drawn - 1) / drawn;  // rows begin with numbers of their own
  auto counter = static_cast<uint32_t>((r * draws + group) * 8 + block);
  constexpr int in_byte = 8 / Bits;
  uint8_t* to = codes + r * row_bytes;
  for (int64_t first = 0; first < cols; first += tile, to += tile / in_byte, counter += tile / drawn * 8) {
    const std::array<uint32_t, 4> words = at_random ? stream.four(counter) : std::array<uint32_t, 4>{};
    const int n = cols - first < tile ? static_cast<int>(cols - first) : tile;
    float values[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int at = group * drawn + i * 8 + block;
      values[i] = at < n ? row.raw(first + at) : 0.f;
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int at = group * drawn + i * 8 + block;
      const uint32_t half = i % 2 == 0 ? words[i / 2] & 0xffff : words[i / 2] >> 16;
      const float up = at_random ? (static_cast<float>(half) + 0.5f) * 0x1p-16f : 0.5f;
      float code = 0;  // what fills up the last byte
      if (at < n) code = fminf(fmaxf(fmaf(slope_of(row.slope, values[i]) - map.offset, inverse, up), 0.f), top);
      of_warp[at] = static_cast<uint8_t>(code);
    }
    __syncwarp();
    for (int i = lane; i < (n + in_byte - 1) / in_byte; i += 32) {
      uint32_t byte = 0;
#pragma unroll
      for (int k = 0; k < in_byte; ++k) byte |= static_cast<uint32_t>(of_warp[i * in_byte + k]) << (Bits * k);
      to[i] = static_cast<uint8_t>(byte);
    }
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
  constexpr int in_byte = 8 / Bits;
  for (int64_t c = threadIdx.x % 32; c < cols; c += 32) {
    const uint32_t code = from[c / in_byte] >> (c % in_byte * Bits) & ((1 << Bits) - 1);
    const float v = static_cast<float>(code);
    out[i * stride + c] = has_zero ? (v - zero) * scale : fmaf(scale, v, offset);
  }
}

}  // namespace

}  // namespace shear::cuda
