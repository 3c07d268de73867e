// The CPU's kernels that put matrices to sleep and wake them, on plain views: which values are kept, from where, and
// how near they come back.
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

TEST_CASE("the k-th largest may be the first or the last of many equal ones") {
  Bench bench;
  const int64_t rows = 300, cols = 160, n = rows * cols;
  Floats x = normal_values(n, 12);
  for (float& v : x) v = v > 1 ? v : v > 0 ? 0.75f : 0.f;
  const auto ones = std::count_if(x.begin(), x.end(), [](float v) { return v > 0.75f; });
  const auto zeros = std::count(x.begin(), x.end(), 0.f);
  for (const int64_t edge : {ones, n - zeros})
    for (int64_t kept = edge - 2; kept <= edge + 2; ++kept) {
      const PackedView shape = shape_of(Code::f32, rows, cols, rows, kept);
      const Asleep a = bench.pack(source_of(x, rows, cols), shape);
      CHECK(bench.unpack(a) == pruned_by_hand(x, shape));
      CHECK(set_bits(a) == kept);
    }
}

TEST_CASE("tensors side by side in a row keep their own largest") {
  Bench bench;
  const int64_t rows = 34, cols = 3 * 37;
  Floats x = normal_values(rows * cols, 2);
  for (int64_t r = 0; r < rows; ++r)  // the middle one alone would win
    for (int64_t c = 37; c < 74; ++c) x[at(r * cols + c)] *= 100;
  for (const Code code : {Code::f32, Code::f16}) {
    const PackedView shape = shape_of(code, rows, cols, 17, 126, 3);
    const Asleep a = bench.pack(source_of(x, rows, cols), shape);
    const Floats back = bench.unpack(a), expected = pruned_by_hand(x, shape);
    for (size_t i = 0; i < back.size(); ++i) {
      CHECK((back[i] == 0) == (expected[i] == 0));
      CHECK(std::abs(back[i] - expected[i]) <= (code == Code::f16 ? 0x1p-11f * std::abs(expected[i]) : 0.f));
    }
    CHECK(bench.unpack(a, 12, 9) == Floats(back.begin() + 12 * cols, back.begin() + 21 * cols));
  }
}

TEST_CASE("any band that is unpacked equals those rows of the whole") {
  Bench bench(3);
  const int64_t rows = 60, cols = 101;
  const Floats x = normal_values(rows * cols, 3);
  for (const PackedView& shape : {shape_of(Code::f16, rows, cols, 20, 404), shape_of(Code::f32, rows, cols, 15, 30),
                                  shape_of(Code::u8, rows, cols, 20, 0), shape_of(Code::u4, rows, cols, 20, 0),
                                  shape_of(Code::u2, rows, cols, 60, 0), shape_of(Code::f16, rows, cols, 20, 0)}) {
    const Asleep a = bench.pack(source_of(x, rows, cols), shape);
    const Floats whole = bench.unpack(a);
    for (int64_t first = 0; first < rows; first += 7)
      for (const int64_t count : {int64_t{1}, int64_t{19}, rows - first})
        if (first + count <= rows)
          CHECK(bench.unpack(a, first, count) ==
                Floats(whole.begin() + first * cols, whole.begin() + (first + count) * cols));
  }
}

TEST_CASE("each group of rows may choose columns of its own") {
  Bench bench;
  const int64_t rows = 12, cols = 20;
  const Floats x = normal_values(rows * cols, 4);
  const std::vector<int32_t> chosen{0, 5, 6, 19, 1, 2, 3, 4, 19, 18, 7, 7};  // 3 groups of 4
  Floats cut;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < 4; ++c) cut.push_back(x[at(r * cols + chosen[at(r / 4 * 4 + c)])]);
  PackSource source = source_of(x, rows, cols);
  source.column_index = chosen.data();
  source.rows_per_group = 4;
  CHECK(bench.unpack(bench.pack(source, shape_of(Code::f32, rows, 4, 4, 0))) == cut);
  const PackedView masked = shape_of(Code::f32, rows, 4, 4, 5);
  CHECK(bench.unpack(bench.pack(source, masked)) == pruned_by_hand(cut, masked));
  source.rows_per_group = 0;
  for (int64_t i = 0; i < rows * 4; ++i) cut[at(i)] = x[at(i / 4 * cols + chosen[at(i % 4)])];
  CHECK(bench.unpack(bench.pack(source, shape_of(Code::f32, rows, 4, 4, 0))) == cut);
}

TEST_CASE("a slope lies on a fixed grid, where zero and one are exact") {
  Bench bench;
  const int64_t rows = 3, cols = 301;
  Floats x(at(rows * cols));
  for (int64_t i = 0; i < rows * cols; ++i) x[at(i)] = static_cast<float>(i % cols - 150) * 0.1f;  // -15 ... 15
  const double root = std::sqrt(2.0), pi = 3.14159265358979;
  for (const Slope form : {Slope::gelu, Slope::gelu_tanh}) {
    PackSource source = source_of(x, rows, cols);
    source.slope = form;
    const auto slope = [&](double v) {
      if (form == Slope::gelu) return 0.5 * std::erfc(-v / root) + v * std::exp(-v * v / 2) / std::sqrt(2 * pi);
      const double t = std::tanh(std::sqrt(2 / pi) * (v + 0.044715 * v * v * v));
      return 0.5 * (1 + t) + 0.5 * v * (1 - t * t) * std::sqrt(2 / pi) * (1 + 3 * 0.044715 * v * v);
    };
    for (const Code code : {Code::f32, Code::f16, Code::u8, Code::u4, Code::u2}) {
      CAPTURE(bits_of(code));
      const Asleep a = bench.pack(source, shape_of(code, rows, cols, rows, 0));
      const Floats back = bench.unpack(a);
      const bool coded = bits_of(code) <= 8;
      const auto scale = static_cast<double>(slope_grid(code).scale),
                 offset = static_cast<double>(slope_grid(code).offset);
      const double top = offset + scale * (std::exp2(bits_of(code)) - 1);
      for (int64_t i = 0; i < rows * cols; ++i) {
        const double exact = slope(static_cast<double>(x[at(i)])), clamped = std::clamp(exact, offset, top);
        const double error = std::abs(static_cast<double>(back[at(i)]) - (coded ? clamped : exact));
        CHECK(error <= (coded ? 0.5001 * scale : code == Code::f16 ? 1e-3 : 1e-6));
        if (coded && std::abs(x[at(i)]) > 14) CHECK(back[at(i)] == (x[at(i)] < 0 ? 0.f : 1.f));
      }
      for (int64_t r = 0; coded && r < rows; ++r) {
        CHECK(a.affine[at(2 * r)] == slope_grid(code).offset);
        CHECK(a.affine[at(2 * r + 1)] == slope_grid(code).scale);
      }
    }
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
  for (const Code code : {Code::u8, Code::u4, Code::u2}) {
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
      for (const Code code : {Code::u8, Code::u4, Code::u2}) {
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

TEST_CASE("packing no columns or no rows does nothing") {
  Bench bench;
  const Floats x(8, 1.f);
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{4, 0}, {0, 4}})
    for (const Code code : {Code::f32, Code::u4}) {
      PackedView shape = shape_of(code, rows, cols, rows, 0);
      std::vector<uint8_t> untouched(8, Asleep::guard);
      Floats affine(8, 7.f), scratch(at(bench.cpu->pack_scratch(cols)));
      shape.values = untouched.data();
      shape.affine = affine.data();
      const auto n = static_cast<int64_t>(scratch.size());
      bench.cpu->pack(source_of(x, rows, cols), shape, View(scratch.data(), 1, n, n));
      bench.cpu->unpack(shape, 0, View(untouched.data(), rows, cols, cols));
      CHECK(untouched == std::vector<uint8_t>(8, Asleep::guard));
      CHECK(affine == Floats(8, 7.f));
    }
}

TEST_CASE("a scattered column of scale zero is left out, even where its index comes twice") {
  Bench bench;
  const int64_t rows = 3, cols = 5;
  const Floats x{1, 2, 3, 4, 5, 6, 7, 8, 9};
  const std::vector<int32_t> index{4, 1, 1};
  const Floats scale{2, 0.5f, 0};
  const ConstView i(index.data(), 1, 3, 3, DType::i32), s(scale.data(), 1, 3, 3);
  Floats out(15, 10.f);
  bench.cpu->scatter_columns(view_of(x, rows, 3), i, s, 0, View(out.data(), rows, cols, cols));
  CHECK(out == Floats{0, 1, 0, 0, 2, 0, 2.5f, 0, 0, 8, 0, 4, 0, 0, 14});
  out.assign(15, 10.f);
  bench.cpu->scatter_columns(view_of(x, rows, 3), i, s, 0.5f, View(out.data(), rows, cols, cols));
  CHECK(out == Floats{10, 6, 10, 10, 7, 10, 7.5f, 10, 10, 13, 10, 9, 10, 10, 19});
  bench.cpu->scatter_columns(view_of(x, rows, 0), i, s, 1, View(out.data(), rows, cols, cols));
  CHECK(out[4] == 7);
  bench.cpu->scatter_columns(view_of(x, rows, 0), i, s, 0, View(out.data(), rows, cols, cols));
  CHECK(out == Floats(15, 0.f));
}

TEST_CASE("a product may be added to what is there, and stand in its second factor's place") {
  Bench bench;
  const int64_t rows = 130, cols = 150, n = rows * cols;
  const Floats a = normal_values(n, 9), b = normal_values(n, 10);
  for (const float beta : {0.f, 1.f, -0.5f}) {
    Floats out(at(n), 4.f), same = b, expected(at(n)), expected_same(at(n));
    for (size_t i = 0; i < at(n); ++i) {
      expected[i] = a[i] * b[i] + beta * 4.f;
      expected_same[i] = a[i] * b[i] + beta * b[i];
    }
    bench.cpu->multiply(view_of(a, rows, cols), view_of(b, rows, cols), beta, View(out.data(), rows, cols, cols));
    bench.cpu->multiply(view_of(a, rows, cols), view_of(same, rows, cols), beta, View(same.data(), rows, cols, cols));
    for (size_t i = 0; i < at(n); ++i) {
      CHECK(std::abs(out[i] - expected[i]) <= 1e-6f * (std::abs(a[i] * b[i]) + 4));
      CHECK(std::abs(same[i] - expected_same[i]) <= 1e-6f * (std::abs(a[i] * b[i]) + std::abs(b[i])));
    }
  }
}
