// Putting matrices to sleep: exact top-k per sample, short types, and back a band at a time.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/cpu_backend.h"
#include "cpu/short_types.h"
#include "shear/error.h"

namespace shear::cpu {

namespace {

// Rows of the matrix that is packed: those of `x`, or a choice of its rows or columns, gathered on the way.
class Source {
 public:
  Source(const PackSource& s, int64_t width) : s_(s), width_(width) {}
  const float* row(int64_t r, float* buffer) const {
    const float* from = s_.x.row(s_.row_index ? s_.row_index[r] : r);
    if (!s_.column_index) return from;
    for (int64_t c = 0; c < width_; ++c) buffer[c] = from[s_.column_index[c]];
    return buffer;
  }

 private:
  const PackSource& s_;
  int64_t width_;
};

uint32_t magnitude(float v) { return std::bit_cast<uint32_t>(v) & 0x7fffffffu; }

// The k-th largest magnitude among a sample's values, and how many of those equal to it are kept.
struct Threshold {
  uint32_t value;
  int64_t ties;
};

// Radix select over the bits of |v|, which order as the numbers do: one pass counts the top 11 bits, then the values of
// the one bucket that the k-th lies in are counted by the next 10, and the next 10.  `visit(f)` calls f on every value.
template <class Visit>
Threshold select(int64_t kept, uint32_t* counts, Visit visit) {
  constexpr int shifts[] = {20, 10, 0};
  constexpr uint32_t widths[] = {2048, 1024, 1024};
  uint32_t prefix = 0, mask = 0;
  int64_t left = kept;  // counted from the largest
  for (int pass = 0; pass < 3; ++pass) {
    std::fill_n(counts, widths[pass], 0u);
    visit([&](const float* row, int64_t n) {
      if (pass == 0) {
        for (int64_t i = 0; i < n; ++i) ++counts[magnitude(row[i]) >> 20];
      } else {
        for (int64_t i = 0; i < n; ++i) {
          const uint32_t m = magnitude(row[i]);
          if ((m & mask) == prefix) ++counts[(m >> shifts[pass]) & (widths[pass] - 1)];
        }
      }
    });
    uint32_t bucket = widths[pass] - 1;
    while (static_cast<int64_t>(counts[bucket]) < left) left -= counts[bucket--];
    prefix |= bucket << shifts[pass];
    mask |= (widths[pass] - 1) << shifts[pass];
  }
  return {prefix, left};
}

// One row as offset + scale * code, code in [0, levels).  With a stream, rounded up with the probability of the rest,
// so that the expectation is the value itself; without, to the nearest.
void encode_row(const float* x, int64_t n, int bits, const StreamKey* stream, uint64_t first_word, float* affine,
                uint8_t* out) {
  float low = x[0], high = x[0];
#pragma omp simd reduction(min : low) reduction(max : high)
  for (int64_t i = 0; i < n; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
  }
  const float top = static_cast<float>((1 << bits) - 1);
  const float scale = (high - low) / top, inverse = scale > 0 ? 1.f / scale : 0.f;
  affine[0] = low;
  affine[1] = scale;
  const int per_byte = 8 / bits;
  if (per_byte > 1) std::memset(out, 0, static_cast<size_t>((n + per_byte - 1) / per_byte));
  const auto put = [&](int64_t i, float rounding) {
    const float code = std::min(std::max((x[i] - low) * inverse + rounding, 0.f), top);
    out[i / per_byte] =
        static_cast<uint8_t>(out[i / per_byte] * (per_byte > 1) | static_cast<int>(code) << (i % per_byte * bits));
  };
  if (!stream) {
    if (bits == 8) {
#pragma omp simd
      for (int64_t i = 0; i < n; ++i)
        out[i] = static_cast<uint8_t>(static_cast<int>(std::min(std::max((x[i] - low) * inverse + 0.5f, 0.f), top)));
    } else {
      for (int64_t i = 0; i < n; ++i) put(i, 0.5f);
    }
    return;
  }
  for (int64_t i = 0; i < n; i += 4) {  // rows start on a fresh block of four words
    const auto words = stream->four(static_cast<uint32_t>(first_word / 4 + static_cast<uint64_t>(i / 4)));
    for (int64_t j = i; j < std::min(i + 4, n); ++j) put(j, unit_float(words[static_cast<size_t>(j - i)]));
  }
}

void decode_row(const uint8_t* codes, int64_t n, int bits, const float* affine, float* out) {
  const float low = affine[0], scale = affine[1];
  if (bits == 8) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) out[i] = low + scale * static_cast<float>(codes[i]);
    return;
  }
  const int per_byte = 8 / bits, mask = (1 << bits) - 1;
  for (int64_t i = 0; i < n; ++i)
    out[i] = low + scale * static_cast<float>(codes[i / per_byte] >> (i % per_byte * bits) & mask);
}

}  // namespace

int64_t CpuBackend::pack_scratch(int64_t cols) const { return threads_ * (2048 + (cols + 15) / 16 * 16); }

void CpuBackend::pack(const PackSource& source, const PackedView& out, View scratch) {
  const Source from(source, out.cols);
  const int64_t per_thread = pack_scratch(out.cols) / threads_, samples = out.rows / out.sample_rows;
  const int64_t words = out.mask_words();
#pragma omp parallel for num_threads(threads_) schedule(static)
  for (int64_t sample = 0; sample < samples; ++sample) {
    float* mine = scratch.row(0) + omp_get_thread_num() * per_thread;
    uint32_t* counts = reinterpret_cast<uint32_t*>(mine);
    float* buffer = mine + 2048;
    const int64_t first = sample * out.sample_rows;
    if (!out.masked()) {
      for (int64_t r = first; r < first + out.sample_rows; ++r) {
        const float* row = from.row(r, buffer);
        char* to = static_cast<char*>(out.values) + r * out.row_bytes();
        if (out.code == Code::f32)
          std::memcpy(to, row, static_cast<size_t>(out.cols) * sizeof(float));
        else if (out.code == Code::f16)
          to_f16(row, out.cols, reinterpret_cast<uint16_t*>(to));
        else
          encode_row(row, out.cols, bits_of(out.code), source.rounding,
                     static_cast<uint64_t>(r) * static_cast<uint64_t>((out.cols + 3) / 4 * 4), out.affine + 2 * r,
                     reinterpret_cast<uint8_t*>(to));
      }
      continue;
    }
    const Threshold cut = select(out.kept, counts, [&](auto count) {
      for (int64_t r = first; r < first + out.sample_rows; ++r) count(from.row(r, buffer), out.cols);
    });
    int64_t ties = cut.ties, next = sample * out.kept;
    for (int64_t r = first; r < first + out.sample_rows; ++r) {
      const float* row = from.row(r, buffer);
      uint32_t* bits = out.bits + r * words;
      for (int64_t w = 0; w < words; ++w) {
        uint32_t word = 0;
        const int64_t n = std::min<int64_t>(32, out.cols - w * 32);
        for (int64_t i = 0; i < n; ++i) {
          const uint32_t m = magnitude(row[w * 32 + i]);
          bool keep = m > cut.value;
          if (m == cut.value && ties > 0) --ties, keep = true;
          word |= static_cast<uint32_t>(keep) << i;
        }
        bits[w] = word;
        for (uint32_t left = word; left != 0; left &= left - 1) {
          const float v = row[w * 32 + std::countr_zero(left)];
          if (out.code == Code::f32)
            static_cast<float*>(out.values)[next++] = v;
          else
            to_f16(&v, 1, static_cast<uint16_t*>(out.values) + next++);
        }
      }
    }
  }
}

void CpuBackend::unpack(const PackedView& in, int64_t first_row, View out) {
  const int64_t words = in.mask_words();
#pragma omp parallel for num_threads(threads_) schedule(static)
  for (int64_t i = 0; i < out.rows; ++i) {
    const int64_t r = first_row + i;
    float* to = out.row(i);
    if (!in.masked()) {
      const char* from = static_cast<const char*>(in.values) + r * in.row_bytes();
      if (in.code == Code::f32)
        std::memcpy(to, from, static_cast<size_t>(in.cols) * sizeof(float));
      else if (in.code == Code::f16)
        from_f16(reinterpret_cast<const uint16_t*>(from), in.cols, to);
      else
        decode_row(reinterpret_cast<const uint8_t*>(from), in.cols, bits_of(in.code), in.affine + 2 * r, to);
      continue;
    }
    // Where this row's values begin: those kept in the rows of its sample before it.
    const int64_t sample = r / in.sample_rows;
    int64_t next = sample * in.kept;
    for (const uint32_t* w = in.bits + sample * in.sample_rows * words; w != in.bits + r * words; ++w)
      next += std::popcount(*w);
    std::memset(to, 0, static_cast<size_t>(in.cols) * sizeof(float));
    for (int64_t w = 0; w < words; ++w)
      for (uint32_t left = in.bits[r * words + w]; left != 0; left &= left - 1, ++next) {
        float& v = to[w * 32 + std::countr_zero(left)];
        if (in.code == Code::f32)
          v = static_cast<const float*>(in.values)[next];
        else
          from_f16(static_cast<const uint16_t*>(in.values) + next, 1, &v);
      }
  }
}

void CpuBackend::gather_rows(ConstView x, ConstView index, ConstView scale, View out) {
  const int32_t* from = static_cast<const int32_t*>(index.data);
#pragma omp parallel for num_threads(threads_) schedule(static)
  for (int64_t r = 0; r < out.rows; ++r) {
    const float *row = x.row(from[r]), factor = scale.row(0)[r];
    float* to = out.row(r);
#pragma omp simd
    for (int64_t c = 0; c < out.cols; ++c) to[c] = factor * row[c];
  }
}

void CpuBackend::scatter_columns(ConstView x, ConstView index, ConstView scale, float beta, View out) {
  const int32_t* to = static_cast<const int32_t*>(index.data);
#pragma omp parallel for num_threads(threads_) schedule(static)
  for (int64_t r = 0; r < out.rows; ++r) {
    float* row = out.row(r);
    if (beta == 0) std::memset(row, 0, static_cast<size_t>(out.cols) * sizeof(float));
    for (int64_t c = 0; c < x.cols; ++c)
      row[to[c]] = scale.row(0)[c] * x.row(r)[c] + (beta == 0 ? 0.f : beta * row[to[c]]);
  }
}

}  // namespace shear::cpu
