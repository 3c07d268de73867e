// The exact choice of the largest magnitudes: their mask, their order and their values have the same bits on every
// backend.
#include <bit>
#include <string>

#include "asleep.h"

using namespace shear;
using namespace shear::test;

namespace {

enum class Kind : uint8_t { normal, constant, mostly_zero, zero, one_loud_column, huge, denormal, coarse, not_finite };
constexpr Kind kinds[] = {Kind::normal, Kind::constant, Kind::mostly_zero, Kind::zero,      Kind::one_loud_column,
                          Kind::huge,   Kind::denormal, Kind::coarse,      Kind::not_finite};

Matrix matrix_of(Kind kind, int64_t rows, int64_t cols, int64_t gap) {
  Matrix m(rows, cols, gap, 1);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c) {
      float& v = m(r, c);
      const int64_t i = r * cols + c;
      if (kind == Kind::constant) v = i % 2 == 0 ? 1.5f : -1.5f;
      if (kind == Kind::mostly_zero) v = v > 1.5f ? v : i % 3 == 0 ? -0.f : 0.f;
      if (kind == Kind::zero) v = 0;
      if (kind == Kind::one_loud_column && c == cols / 2) v *= 1e4f;
      if (kind == Kind::huge) v *= 6e37f;
      if (kind == Kind::denormal) v *= 1e-42f;
      if (kind == Kind::coarse) v = std::round(v * 4) / 4;
      if (kind == Kind::not_finite && i % 7 == 3) v = std::copysign(std::numeric_limits<float>::infinity(), v);
      if (kind == Kind::not_finite && i % 29 == 5) v = unset;
    }
  return m;
}

// By sorting: of each part of each sample the `kept` largest magnitudes, ties to the lowest index.
Matrix pruned_by_hand(const Nap& nap) {
  const PackedView& s = nap.shape;
  Matrix out(s.rows, s.cols, 0, 0);
  out.fill(0);
  const int64_t width = s.part_cols(), n = s.sample_rows * width;
  std::vector<int64_t> order(at(n));
  for (int64_t first = 0; first < s.rows; first += s.sample_rows)
    for (int64_t part = 0; part < s.parts; ++part) {
      const auto row = [&](int64_t i) { return first + i / width; };
      const auto col = [&](int64_t i) { return part * width + i % width; };
      const auto size = [&](int64_t i) { return std::bit_cast<uint32_t>(nap.value(row(i), col(i))) & 0x7fffffff; };
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return size(a) > size(b); });
      for (int64_t k = 0; k < s.kept; ++k) {
        const int64_t i = order[at(k)];
        out(row(i), col(i)) = nap.value(row(i), col(i));
      }
    }
  return out;
}

int64_t set_bits(const std::vector<uint32_t>& bits) {
  return std::accumulate(bits.begin(), bits.end(), int64_t{0},
                         [](int64_t n, uint32_t word) { return n + std::popcount(word); });
}

void check_masked(const Nap& nap) {
  Asleep tested(tested_backend(), nap), other(other_backend(), nap);
  CHECK(tested.woken().same_bits(pruned_by_hand(nap)));
  CHECK(set_bits(tested.bits()) == nap.shape.rows / nap.shape.sample_rows * nap.shape.parts * nap.shape.kept);
  CHECK(tested.bits() == other.bits());
  CHECK(tested.values() == other.values());
}

}  // namespace

TEST_CASE("of any values exactly the largest of each sample are kept, as a sort would have it") {
  struct Size {
    int64_t rows, cols, gap, sample_rows;
  };
  for (const Size& s :
       {Size{1, 1, 0, 1}, Size{6, 7, 2, 3}, Size{31, 33, 1, 31}, Size{2, 197, 0, 1}, Size{14, 768, 0, 7}})
    for (const Kind kind : kinds)
      for (const double share : {0., 0.2, 1.}) {
        CAPTURE(s.cols);
        CAPTURE(static_cast<int>(kind));
        CAPTURE(share);
        const Matrix x = matrix_of(kind, s.rows, s.cols, s.gap);
        const auto kept =
            std::max<int64_t>(1, static_cast<int64_t>(share * static_cast<double>(s.sample_rows * s.cols)));
        check_masked({.x = x, .shape = shape_of(Code::f32, s.rows, s.cols, s.sample_rows, kept)});
      }
}

TEST_CASE("a sample that many blocks share is as one") {
  for (const auto& [rows, cols, sample_rows] :
       {std::array<int64_t, 3>{300, 160, 300}, {1, 20001, 1}, {394, 96, 197}, {10, 9000, 10}})
    for (const Kind kind : {Kind::normal, Kind::mostly_zero, Kind::coarse}) {
      CAPTURE(rows);
      CAPTURE(static_cast<int>(kind));
      const Matrix x = matrix_of(kind, rows, cols, 0);
      const int64_t n = sample_rows * cols;
      for (const int64_t kept : {n / 10, n - 3})
        check_masked({.x = x, .shape = shape_of(Code::f32, rows, cols, sample_rows, kept)});
    }
}

TEST_CASE("the k-th largest may be the first or the last of many equal ones") {
  const int64_t rows = 60, cols = 160, n = rows * cols;
  Matrix x(rows, cols, 0, 12);
  int64_t ones = 0, zeros = 0;
  for (float& v : x.data()) {
    v = v > 1 ? v : v > 0 ? 0.75f : 0.f;
    ones += v > 0.75f;
    zeros += v == 0;
  }
  for (const int64_t edge : {ones, n - zeros})
    for (int64_t kept = edge - 1; kept <= edge + 1; ++kept)
      check_masked({.x = x, .shape = shape_of(Code::f32, rows, cols, rows, kept)});
}

TEST_CASE("more samples than are selected from at once keep their own largest") {
  const int64_t rows = 1100, cols = 3;
  const Matrix x(rows, cols, 0, 5);
  check_masked({.x = x, .shape = shape_of(Code::f32, rows, cols, 2, 2)});
  check_masked({.x = x, .shape = shape_of(Code::f32, rows, cols, 1, 1)});
}

TEST_CASE("tensors side by side in a row keep their own largest, in f32 and in f16") {
  const int64_t rows = 34, cols = 3 * 37;
  Matrix x(rows, cols, 5, 2);
  for (int64_t r = 0; r < rows; ++r)  // the middle one alone would win
    for (int64_t c = 37; c < 74; ++c) x(r, c) *= 100;
  for (const int64_t kept : {1, 126, 17 * 37}) {
    check_masked({.x = x, .shape = shape_of(Code::f32, rows, cols, 17, kept, 3)});
    const Nap nap{.x = x, .shape = shape_of(Code::f16, rows, cols, 17, kept, 3)};
    Asleep tested(tested_backend(), nap), other(other_backend(), nap);
    CHECK(tested.bits() == other.bits());
    CHECK(tested.values() == other.values());
    CHECK(tested.woken().same_bits(other.woken()));
  }
}

TEST_CASE("in f16 what is kept beyond its range becomes the largest, and nan stays nan") {
  const Matrix x = matrix_of(Kind::not_finite, 9, 65, 0);
  const Nap nap{.x = x, .shape = shape_of(Code::f16, 9, 65, 3, 150)};
  Asleep asleep(tested_backend(), nap);
  const Matrix woken = asleep.woken(), expected = pruned_by_hand(nap);
  CHECK(asleep.bits() == Asleep(other_backend(), nap).bits());
  for (int64_t r = 0; r < 9; ++r)
    for (int64_t c = 0; c < 65; ++c) {
      CHECK(std::isnan(woken.at(r, c)) == std::isnan(expected.at(r, c)));
      if (std::isinf(expected.at(r, c))) CHECK(woken.at(r, c) == std::copysign(65504., expected.at(r, c)));
    }
}

TEST_CASE("any band of a masked matrix that is woken equals those rows of the whole") {
  const Matrix x(197, 101, 0, 3), wide(60, 3 * 70, 0, 4), long_one(394, 5, 0, 6);
  check_bands({.x = x, .shape = shape_of(Code::f16, 197, 101, 197, 4001)});
  check_bands({.x = wide, .shape = shape_of(Code::f32, 60, 210, 15, 200, 3)});
  check_bands({.x = long_one, .shape = shape_of(Code::f32, 394, 5, 197, 300)});
  check_bands({.x = long_one, .shape = shape_of(Code::f32, 394, 5, 1, 2)});
}

TEST_CASE("of rows and columns that were chosen the largest are kept") {
  const int64_t cols = 40;
  const Matrix x(12, cols, 3, 4);
  Nap nap{.x = x, .shape = shape_of(Code::f32, 12, 33, 4, 50), .rows_per_group = 4};
  nap.columns = drawn(3 * 33, cols);
  check_masked(nap);
  nap.rows_per_group = 0;
  check_masked(nap);
  nap.rows = {11, 0, 3, 3, 7, 2, 9, 1};
  nap.shape = shape_of(Code::f32, 8, 33, 8, 100);
  check_masked(nap);
  nap.columns.clear();
  nap.shape = shape_of(Code::f32, 8, cols, 4, 100);
  check_masked(nap);
}

TEST_CASE("of slopes the largest are kept, exactly so many") {
  const Matrix x(10, 50, 0, 9);
  for (const Slope slope : {Slope::gelu, Slope::gelu_tanh, Slope::gelu_quick}) {
    Asleep asleep(tested_backend(), {.x = x, .shape = shape_of(Code::f32, 10, 50, 5, 60), .slope = slope});
    CHECK(set_bits(asleep.bits()) == 2 * 60);
    Asleep whole(tested_backend(), {.x = x, .shape = shape_of(Code::f32, 10, 50, 5, 0), .slope = slope});
    const Matrix slopes = whole.woken();
    const Nap of_slopes{.x = slopes, .shape = shape_of(Code::f32, 10, 50, 5, 60)};
    CHECK(asleep.woken().same_bits(pruned_by_hand(of_slopes)));
  }
}

TEST_CASE("where none is kept, no bit is set") {
  const Matrix x(6, 40, 0, 9);
  Side side(tested_backend());
  const std::vector<int32_t> untouched(12, -1);
  PackedView out = shape_of(Code::f32, 6, 40, 3, 0);
  out.bits = static_cast<uint32_t*>(const_cast<void*>(side(untouched).data));
  PackSource source;
  source.x = side(x);
  tested_backend().pack(source, out, {});
  std::vector<int32_t> bits(12);
  tested_backend().download(bits.data(), out.bits, 48);
  CHECK(bits == std::vector<int32_t>(12, 0));
  const Matrix woken(6, 40, 0, 9);
  tested_backend().unpack(out, 0, side(woken));
  CHECK(error_of(side.result(woken), [](int64_t, int64_t) { return 0.; }) == 0);
}
