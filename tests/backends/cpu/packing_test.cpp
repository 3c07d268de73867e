// What the tests of all backends' packing (tests/backends/kernels) have no time for: matrices as large as the CPU's
// selection splits among threads, and what rounding at random does on average.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "shear/make_backend.h"

using namespace shear;

namespace {

using Floats = std::vector<float>;

size_t at(int64_t i) { return static_cast<size_t>(i); }

Floats normal_values(int64_t n, uint32_t stream) {
  Floats values(at(n));
  Stream draw(7, Purpose::test, stream);
  for (float& v : values) v = draw.normal();
  return values;
}

enum class Kind : uint8_t { normal, constant, mostly_zero, one_loud_column, huge, denormal, coarse };
Floats values_of(Kind kind, int64_t rows, int64_t cols) {
  Floats values = normal_values(rows * cols, 1);
  for (int64_t i = 0; i < rows * cols; ++i) {
    float& v = values[at(i)];
    if (kind == Kind::constant) v = i % 2 == 0 ? 1.5f : -1.5f;
    if (kind == Kind::mostly_zero) v = v > 1.5f ? v : 0.f;
    if (kind == Kind::one_loud_column && i % cols == cols / 2) v *= 1e4f;
    if (kind == Kind::huge) v *= 6e37f;
    if (kind == Kind::denormal) v *= 1e-42f;
    if (kind == Kind::coarse) v = std::round(v * 4) / 4;
  }
  return values;
}

struct Asleep {
  explicit Asleep(const PackedView& shape) : view(shape) {
    const int64_t samples = view.rows / view.sample_rows;
    bytes.assign(at(std::max(samples * view.parts * view.kept * 4, view.rows * view.row_bytes()) + 1), guard);
    view.values = bytes.data();
    bits.assign(at(view.rows * view.parts * view.mask_words() + 1), 0);
    affine.assign(at(2 * view.rows), 0);
    view.bits = view.kept > 0 ? bits.data() : nullptr;
    view.affine = affine.data();
  }
  static constexpr uint8_t guard = 0xa5;
  PackedView view;
  std::vector<uint8_t> bytes;
  std::vector<uint32_t> bits;
  Floats affine;
};

// kept 0: no mask.
PackedView shape_of(Code code, int64_t rows, int64_t cols, int64_t sample_rows, int64_t kept, int64_t parts = 1) {
  PackedView v;
  v.code = code, v.rows = rows, v.cols = cols, v.sample_rows = sample_rows, v.kept = kept, v.parts = parts;
  return v;
}

struct Bench {
  explicit Bench(int threads = 2) : cpu(make_cpu_backend(threads)) {}

  Asleep pack(const PackSource& source, const PackedView& shape) {
    Asleep asleep(shape);
    Floats scratch(at(cpu->pack_scratch(shape.cols)));
    const auto n = static_cast<int64_t>(scratch.size());
    cpu->pack(source, asleep.view, View(scratch.data(), 1, n, n));
    return asleep;
  }
  Floats unpack(const Asleep& asleep, int64_t first, int64_t rows) {
    const int64_t cols = asleep.view.cols;
    Floats out(at(rows * cols), std::numeric_limits<float>::quiet_NaN());
    cpu->unpack(asleep.view, first, View(out.data(), rows, cols, cols));
    return out;
  }
  Floats unpack(const Asleep& asleep) { return unpack(asleep, 0, asleep.view.rows); }

  std::unique_ptr<Backend> cpu;
};

ConstView view_of(const Floats& x, int64_t rows, int64_t cols) { return {x.data(), rows, cols, cols}; }
PackSource source_of(const Floats& x, int64_t rows, int64_t cols) {
  PackSource s;
  s.x = view_of(x, rows, cols);
  return s;
}

// By sorting: of each part of each sample the `kept` largest magnitudes, ties to the lowest index.
Floats pruned_by_hand(const Floats& x, const PackedView& shape) {
  Floats out(x.size(), 0.f);
  const int64_t width = shape.part_cols(), n = shape.sample_rows * width;
  std::vector<int64_t> order(at(n));
  for (int64_t first = 0; first < shape.rows; first += shape.sample_rows)
    for (int64_t part = 0; part < shape.parts; ++part) {
      const auto place = [&](int64_t i) { return at((first + i / width) * shape.cols + part * width + i % width); };
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(),
                       [&](int64_t a, int64_t b) { return std::abs(x[place(a)]) > std::abs(x[place(b)]); });
      for (int64_t i = 0; i < shape.kept; ++i) out[place(order[at(i)])] = x[place(order[at(i)])];
    }
  return out;
}

int64_t set_bits(const Asleep& a) {
  int64_t n = 0;
  for (const uint32_t word : a.bits) n += std::popcount(word);
  return n;
}

}  // namespace

TEST_CASE("of any values exactly the largest are kept, as a sort would have it, on any number of threads") {
  struct Size {
    int64_t rows, cols, sample_rows;
  };
  for (const Size& s : {Size{6, 7, 3}, Size{100, 64, 50}, Size{394, 96, 197}, Size{120, 333, 120}, Size{400, 200, 400}})
    for (const Kind kind : {Kind::normal, Kind::constant, Kind::mostly_zero, Kind::one_loud_column, Kind::huge,
                            Kind::denormal, Kind::coarse})
      for (const double share : {0.001, 0.2, 0.5, 0.95, 1.0}) {
        CAPTURE(s.cols);
        CAPTURE(static_cast<int>(kind));
        CAPTURE(share);
        const Floats x = values_of(kind, s.rows, s.cols);
        const auto kept = static_cast<int64_t>(std::ceil(share * static_cast<double>(s.sample_rows * s.cols)));
        const PackedView shape = shape_of(Code::f32, s.rows, s.cols, s.sample_rows, kept);
        Bench one(1), three(3);
        const Asleep a = one.pack(source_of(x, s.rows, s.cols), shape);
        CHECK(one.unpack(a) == pruned_by_hand(x, shape));
        CHECK(set_bits(a) == s.rows / s.sample_rows * kept);
        CHECK(a.bytes[at(s.rows / s.sample_rows * kept * 4)] == Asleep::guard);
        const Asleep b = three.pack(source_of(x, s.rows, s.cols), shape);
        CHECK(a.bytes == b.bytes);
        CHECK(a.bits == b.bits);
      }
}

TEST_CASE("what a sample of the values misses is found nevertheless") {
  Bench bench;
  const int64_t rows = 15000, cols = 8;  // narrow rows have little room: the sample's guess is often wrong
  for (uint32_t draw = 0; draw < 4; ++draw)
    for (const int64_t kept : {int64_t{120}, int64_t{24000}, int64_t{60000}, rows * cols - 3}) {
      const Floats x = normal_values(rows * cols, 100 + draw);
      const PackedView shape = shape_of(Code::f32, rows, cols, rows, kept);
      CHECK(bench.unpack(bench.pack(source_of(x, rows, cols), shape)) == pruned_by_hand(x, shape));
    }
}

TEST_CASE("codes rounded at random are right on average, column by column, and the end of the grid stays") {
  Bench bench;
  const int64_t rows = 4000, cols = 75;
  Floats x(at(rows * cols));
  const Floats one = normal_values(cols, 6);
  for (int64_t i = 0; i < rows * cols; ++i) x[at(i)] = one[at(i % cols)];
  const auto [low, high] = std::minmax_element(one.begin(), one.end());
  const StreamKey key{11, static_cast<uint32_t>(Purpose::policy), 2, 3};
  for (const Code code : {Code::u8, Code::u4, Code::u3, Code::u2}) {
    CAPTURE(bits_of(code));
    PackSource source = source_of(x, rows, cols);
    source.rounding = &key;
    const Asleep a = bench.pack(source, shape_of(code, rows, cols, rows, 0));
    CHECK(a.bytes == Bench(1).pack(source, a.view).bytes);
    const Floats back = bench.unpack(a);
    const double step = static_cast<double>(*high - *low) / ((1 << bits_of(code)) - 1);
    double squares = 0;
    for (int64_t c = 0; c < cols; ++c) {
      double mean = 0, low_rounded = 0;
      for (int64_t r = 0; r < rows; ++r) {
        const double error = static_cast<double>(back[at(r * cols + c)]) - static_cast<double>(one[at(c)]);
        CHECK(std::abs(error) < 1.0001 * step);
        mean += error / static_cast<double>(rows);
        low_rounded += error < 0;
      }
      CHECK(std::abs(mean) < 5 * 0.5 * step / std::sqrt(rows));
      squares += mean * mean;
      if (one[at(c)] == *low) CHECK(low_rounded == 0);
    }
    // Independent from one column to the next: all means together are no larger than chance has it.
    CHECK(std::sqrt(squares / static_cast<double>(cols)) < 0.5 * step / std::sqrt(rows));
  }
}

TEST_CASE("each value is rounded by a draw of its own") {
  Bench bench;
  const int64_t rows = 3000, cols = 202;
  Floats x(at(rows * cols), 0.5f);  // between two codes, but for the ends of the range
  for (int64_t r = 0; r < rows; ++r) x[at(r * cols)] = 0, x[at(r * cols + 1)] = 3;
  const StreamKey key{12, static_cast<uint32_t>(Purpose::policy), 2, 3};
  PackSource source = source_of(x, rows, cols);
  source.rounding = &key;
  const Floats back = bench.unpack(bench.pack(source, shape_of(Code::u2, rows, cols, rows, 0)));
  Floats by_row(at(rows)), by_column(at(cols));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 2; c < cols; ++c) {
      const float up = back[at(r * cols + c)] - 0.5f;  // a half to either side
      by_row[at(r)] += up;
      by_column[at(c)] += up;
    }
  // Sums of 200 and of 3000 such: their squares are a quarter of that many on average.
  const auto mean_square = [](const Floats& sums, int64_t n) {
    return std::inner_product(sums.begin(), sums.end(), sums.begin(), 0.0) / static_cast<double>(n);
  };
  CHECK(mean_square(by_row, rows) == doctest::Approx(200 / 4.).epsilon(0.13));  // five sigma
  CHECK(mean_square(by_column, cols - 2) == doctest::Approx(3000 / 4.).epsilon(0.5));
}

TEST_CASE("codes come back within half a step of their row, whatever its range") {
  Bench bench;
  const int64_t cols = 300;
  for (const float size : {1e-44f, 1e-37f, 1.f, 1e37f})
    for (const float offset : {0.f, 3.f})
      for (const Code code : {Code::u8, Code::u4, Code::u3, Code::u2}) {
        CAPTURE(size);
        Floats x = normal_values(2 * cols, 8);
        for (int64_t i = 0; i < 2 * cols; ++i)
          x[at(i)] = (i < cols ? x[at(i)] + offset : 2.f) * size;  // the second: a constant
        const Floats back = bench.unpack(bench.pack(source_of(x, 2, cols), shape_of(code, 2, cols, 2, 0)));
        const auto [low, high] = std::minmax_element(x.begin(), x.begin() + cols);
        const float step = (*high - *low) / static_cast<float>((1 << bits_of(code)) - 1);
        const float exactness =
            step < std::numeric_limits<float>::min() ? *high - *low : 0.5001f * step + 1e-6f * *high;
        for (int64_t i = 0; i < cols; ++i) CHECK(std::abs(back[at(i)] - x[at(i)]) <= exactness);
        for (int64_t i = cols; i < 2 * cols; ++i) CHECK(back[at(i)] == x[at(i)]);
      }
}
