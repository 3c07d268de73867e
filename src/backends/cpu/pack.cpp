// Putting matrices to sleep, and waking them a band at a time.
#include <omp.h>

#include <algorithm>
#include <cstring>

#include "backends/cpu/codes.h"
#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/masks.h"
#include "backends/cpu/pieces.h"
#include "backends/cpu/select.h"
#include "backends/cpu/short_types.h"
#include "backends/cpu/source.h"

namespace shear::cpu {

namespace {

// A strip of the columns, from `first`, of rows that share ranges: those are found in a pass before.
void pack_strip(const Source& from, const StreamKey* rounding, const PackedView& out, int64_t group, int64_t first,
                float* buffer) {
  const int64_t begin = group * out.group, end = std::min(begin + out.group, out.rows),
                cols = std::min(strip_cols, out.cols - first);
  const int bits = bits_of(out.code);
  StripRanges ranges(cols);
  for (int64_t r = begin; r < end; ++r) ranges.widen(from.row(r, first, cols, buffer));
  ranges.settle(bits, out.of_group + group * out.cols + first);
  for (int64_t r = begin; r < end; ++r)
    ranges.encode_row(from.row(r, first, cols, buffer), bits, rounding, r, first, out.cols,
                      static_cast<uint8_t*>(out.values) + r * out.row_bytes());
}

// A row whose values are all there, and that shares nothing with others.
void pack_row(const PackSource& source, const PackedView& out, int64_t r, const float* x) {
  char* to = static_cast<char*>(out.values) + r * out.row_bytes();
  switch (format_of(out.code).scheme) {
    case Scheme::floats:
      std::memcpy(to, x, static_cast<size_t>(out.cols) * sizeof(float));
      return;
    case Scheme::halves:
      return to_f16(x, out.cols, reinterpret_cast<uint16_t*>(to));
    case Scheme::brains:
      return to_bf16(x, out.cols, reinterpret_cast<uint16_t*>(to));
    case Scheme::affine:
      break;
  }
  const int bits = bits_of(out.code);
  const auto codes = reinterpret_cast<uint8_t*>(to);
  const bool slope = source.slope != Slope::none;
  const SlopeGrid grid = slope_grid(out.code);
  const Affine affine = slope ? Affine{grid.offset, grid.scale} : range_of(x, out.cols, bits);
  out.affine[2 * r] = affine.offset;
  out.affine[2 * r + 1] = affine.scale;
  encode_row(x, out.cols, bits, affine, slope ? nullptr : source.rounding, r, codes);
}

void unpack_row(const PackedView& in, int64_t r, float* out) {
  const char* from = static_cast<const char*>(in.values) + r * in.row_bytes();
  switch (format_of(in.code).scheme) {
    case Scheme::floats:
      std::memcpy(out, from, static_cast<size_t>(in.cols) * sizeof(float));
      return;
    case Scheme::halves:
      return from_f16(reinterpret_cast<const uint16_t*>(from), in.cols, out);
    case Scheme::brains:
      return from_bf16(reinterpret_cast<const uint16_t*>(from), in.cols, out);
    case Scheme::affine:
      break;
  }
  const auto codes = reinterpret_cast<const uint8_t*>(from);
  const int bits = bits_of(in.code);
  if (in.group > 0) return decode_row(codes, in.cols, bits, in.of_group + r / in.group * in.cols, out);
  decode_row(codes, in.cols, bits, {in.affine[2 * r], in.affine[2 * r + 1]}, out);
}

// One part of one sample, in two passes: which magnitudes are kept, and their values.
template <class T>
void pack_block(const Block& block, const PackedView& out, int64_t sample, int64_t part, const SelectRoom& room) {
  Threshold cut = select(block, out.kept, room);
  T* to = static_cast<T*>(out.values) + (sample * out.parts + part) * out.kept;
  const T* end = to + out.kept;
  for (int64_t r = 0; r < block.rows; ++r) {
    uint32_t* bits = out.bits + ((block.first_row + r) * out.parts + part) * out.mask_words();
    to = compress_row(block.row(r), block.cols, cut, bits, to, end);
  }
}

// `out` is rows first_row and on.  Only for the first of them is it counted how many were kept in its sample before it.
template <class T>
void unpack_band(const PackedView& in, int64_t first_row, View out) {
  const int64_t words = in.mask_words(), cols = in.part_cols();
  const T* values = static_cast<const T*>(in.values);
  const T* end = values + in.rows / in.sample_rows * in.parts * in.kept;
  for (int64_t part = 0; part < in.parts; ++part) {
    const auto bits = [&](int64_t r) { return in.bits + (r * in.parts + part) * words; };
    const T* from = nullptr;
    for (int64_t i = 0; i < out.rows; ++i) {
      const int64_t r = first_row + i, sample = r / in.sample_rows;
      if (i == 0 || r % in.sample_rows == 0) {
        from = values + (sample * in.parts + part) * in.kept;
        for (int64_t before = sample * in.sample_rows; before < r; ++before)
          for (int64_t w = 0; w < words; ++w) from += std::popcount(bits(before)[w]);
      }
      from = expand_row(bits(r), cols, from, end, out.row(i) + part * cols);
    }
  }
}

}  // namespace

// Per thread: a row, the counts of the selection, and the magnitudes that it holds.
int64_t CpuBackend::pack_scratch(int64_t cols) const {
  return threads_ * (padded(cols) + SelectRoom::buckets + padded(SelectRoom::some_of(cols)));
}

void CpuBackend::pack(const PackSource& source, const PackedView& out, View scratch) {
  if (out.rows == 0 || out.cols == 0) return;
  const Source from(source, out.cols);
  const int64_t per_thread = pack_scratch(out.cols) / threads_;
  const bool threads = out.rows * out.cols > worth_threads;
  if (out.group > 0) {
    const int64_t strips = (out.cols + strip_cols - 1) / strip_cols;
#pragma omp parallel for num_threads(threads_) schedule(static) if (threads)
    for (int64_t i = 0; i < out.groups() * strips; ++i) {
      float* buffer = scratch.row(0) + omp_get_thread_num() * per_thread;
      pack_strip(from, source.rounding, out, i / strips, i % strips * strip_cols, buffer);
    }
    return;
  }
  if (!out.masked()) {
#pragma omp parallel for num_threads(threads_) schedule(static) if (threads)
    for (int64_t r = 0; r < out.rows; ++r) {
      float* buffer = scratch.row(0) + omp_get_thread_num() * per_thread;
      pack_row(source, out, r, from.row(r, 0, out.cols, buffer));
    }
    return;
  }
  const int64_t blocks = out.rows / out.sample_rows * out.parts;
#pragma omp parallel for num_threads(threads_) schedule(static) if (threads)
  for (int64_t i = 0; i < blocks; ++i) {
    float* buffer = scratch.row(0) + omp_get_thread_num() * per_thread;
    uint32_t* counts = reinterpret_cast<uint32_t*>(buffer + padded(out.cols));
    const SelectRoom room{counts, counts + SelectRoom::buckets, SelectRoom::some_of(out.cols)};
    const int64_t sample = i / out.parts, part = i % out.parts;
    const Block block{from, sample * out.sample_rows, out.sample_rows, part * out.part_cols(), out.part_cols(), buffer};
    if (out.code == Code::f32)
      pack_block<float>(block, out, sample, part, room);
    else
      pack_block<uint16_t>(block, out, sample, part, room);
  }
}

void CpuBackend::unpack(const PackedView& in, int64_t first_row, View out) {
  if (out.rows == 0 || in.cols == 0) return;
#pragma omp parallel num_threads(threads_) if (out.rows * in.cols > worth_threads)
  {
    const auto [first, count] = slice(out.rows, 1, omp_get_thread_num(), omp_get_num_threads());
    const View band = out.band(first, count);
    if (!in.masked())
      for (int64_t i = 0; i < count; ++i) unpack_row(in, first_row + first + i, band.row(i));
    else if (in.code == Code::f32)
      unpack_band<float>(in, first_row + first, band);
    else
      unpack_band<uint16_t>(in, first_row + first, band);
  }
}

}  // namespace shear::cpu
