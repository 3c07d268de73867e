// Packing of whole rows: in f32 and f16 and in codes of 8, 4, 3 and 2 bits, against a reference written here and
// against the other backend.
#include "asleep.h"
#include "shear/io.h"

using namespace shear;
using namespace shear::test;

namespace {

constexpr Code codes[] = {Code::u8, Code::u4, Code::u3, Code::u2};

// A number in (0, 1) for the i-th value of a row: 16 bits of the block of 64 values that it lies in.
float rounding_of(const StreamKey& key, int64_t row, int64_t cols, int64_t i) {
  const int64_t first_block = (row * ((cols + 63) / 64) + i / 64) * 8, within = i % 64;
  const auto words = key.four(static_cast<uint32_t>(first_block + within % 8));
  const uint32_t word = words[at(within / 16)], bits = within / 8 % 2 == 0 ? word & 0xffff : word >> 16;
  return (static_cast<float>(bits) + 0.5f) * 0x1p-16f;
}

struct Coded {
  std::vector<uint8_t> values;
  std::vector<float> affine;
  Matrix woken;
};

// The largest bf16 that is not above x.
float bf16_below(float x) {
  uint16_t bits = f32_to_bf16(x);
  if (bf16_to_f32(bits) > x) bits = static_cast<uint16_t>(bits == 0 ? 0x8001 : x > 0 ? bits - 1 : bits + 1);
  return bf16_to_f32(bits);
}

// A range: of a row as it is, of a group in bf16 and no less.
std::pair<float, float> map_of(float low, float high, float top, bool grouped) {
  if (!grouped) return {low, (high - low) / top};
  const float offset = bf16_below(low);
  return {offset, -bf16_below(-((high - offset) / top))};
}

// Which pair of offset and scale a value is coded by.
int64_t pair_of(const PackedView& shape, int64_t r, int64_t c) {
  return shape.group > 0 ? r / shape.group * shape.cols + c : r;
}

Coded coded_by_hand(const Nap& nap) {
  const auto [rows, cols] = std::pair(nap.shape.rows, nap.shape.cols);
  const int bits = bits_of(nap.shape.code);
  const bool grouped = nap.shape.group > 0;
  const float top = static_cast<float>((1 << bits) - 1), infinite = std::numeric_limits<float>::infinity();
  Coded out{std::vector<uint8_t>(at(rows * nap.shape.row_bytes())), {}, Matrix(rows, cols, 0, 0)};
  const int64_t pairs = rows > 0 && cols > 0 ? pair_of(nap.shape, rows - 1, cols - 1) + 1 : 0;
  std::vector<float> least(at(pairs), infinite), most(at(pairs), -infinite);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c) {
      const size_t pair = at(pair_of(nap.shape, r, c));
      least[pair] = std::min(least[pair], nap.value(r, c)), most[pair] = std::max(most[pair], nap.value(r, c));
    }
  for (int64_t i = 0; i < pairs; ++i) {
    const auto [low, scale] = map_of(least[at(i)], most[at(i)], top, grouped);
    out.affine.insert(out.affine.end(), {low, scale});
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c) {
      const int64_t pair = pair_of(nap.shape, r, c);
      const float low = out.affine[at(2 * pair)], scale = out.affine[at(2 * pair + 1)];
      const float inverse = scale >= std::numeric_limits<float>::min() ? 1 / scale : 0, zero = -low / scale;
      const float up = nap.rounding ? rounding_of(*nap.rounding, r, cols, c) : 0.5f;
      const float code = std::floor(std::clamp(std::fma(nap.value(r, c) - low, inverse, up), 0.f, top));
      for (int64_t bit = 0; bit < bits; ++bit)
        if (static_cast<int>(code) >> bit & 1)
          out.values[at(r * nap.shape.row_bytes() + (c * bits + bit) / 8)] |=
              static_cast<uint8_t>(1 << (c * bits + bit) % 8);
      const bool has_zero = !grouped && zero >= 0 && zero <= 255 && zero == std::floor(zero);
      out.woken(r, c) = has_zero ? (code - zero) * scale : std::fma(scale, code, low);
    }
  return out;
}

void check_coded(const Nap& nap) {
  Asleep tested(tested_backend(), nap), other(other_backend(), nap);
  const Coded expected = coded_by_hand(nap);
  CHECK(tested.affine() == expected.affine);
  CHECK(other.affine() == expected.affine);
  if (tested_device != DeviceKind::cpu) {
    CHECK(tested.values() == expected.values);
    const Matrix woken = tested.woken();
    CHECK(error_of(woken, [&](int64_t r, int64_t c) { return expected.woken.at(r, c); }) == 0);
  } else {
    CHECK(tested.values() == other.values());
  }
  // The CPU's compiler decides whether a product and the sum after it are rounded once or twice: at the border between
  // two codes, which hardly any value is at, it may take the other one.
  const Matrix on_cpu = other.woken();
  int64_t different = 0;
  for (int64_t r = 0; r < nap.shape.rows; ++r)
    for (int64_t c = 0; c < nap.shape.cols; ++c) {
      const int64_t pair = pair_of(nap.shape, r, c);
      const double scale = static_cast<double>(expected.affine[at(2 * pair + 1)]),
                   apart = std::abs(expected.woken.at(r, c) - on_cpu.at(r, c));
      different += apart > 0.5 * scale;
      CHECK(apart <= 1.0001 * scale);
    }
  CHECK(different <= 1 + nap.shape.rows * nap.shape.cols / 1000);
}

const StreamKey key{11, static_cast<uint32_t>(Purpose::policy), 2, 3};

}  // namespace

TEST_CASE("codes, their ranges and what comes back are the reference's, rounded to the nearest or at random") {
  for_sizes([](const Size& s) {
    if (s.rows * s.cols == 0) return;
    const Matrix x(s.rows, s.cols, s.gap, 1);
    for (const Code code : codes)
      for (const StreamKey* rounding : {static_cast<const StreamKey*>(nullptr), &key}) {
        CAPTURE(bits_of(code));
        CAPTURE((rounding != nullptr));
        check_coded({.x = x, .shape = shape_of(code, s.rows, s.cols, s.rows, 0), .rounding = rounding});
      }
  });
}

TEST_CASE("codes with a range for each column of some rows are the reference's, rounded to the nearest or at random") {
  for (const Size& s : {Size{5, 1, 0}, Size{3, 33, 2}, Size{65, 200, 3}, Size{130, 517, 0}, Size{257, 300, 1}}) {
    CAPTURE(s.rows);
    CAPTURE(s.cols);
    Matrix x(s.rows, s.cols, s.gap, 1);
    for (int64_t r = 0; r < s.rows; ++r)
      for (int64_t c = 0; c < s.cols; ++c)
        x(r, c) = c % 50 < 20 ? 1.3f : r % 70 == 0 ? -1e4f * x(r, c) : x(r, c);  // one value alone, and far from zero
    for (const Code code : codes)
      for (const int group : code_groups)
        for (const StreamKey* rounding : {static_cast<const StreamKey*>(nullptr), &key}) {
          CAPTURE(bits_of(code));
          CAPTURE(group);
          CAPTURE((rounding != nullptr));
          check_coded(
              {.x = x, .shape = grouped(shape_of(code, s.rows, s.cols, s.rows, 0), group), .rounding = rounding});
        }
  }
}

TEST_CASE(
    "a group's range holds all of its values, and a group with an infinity wakes as nan, the others as they are") {
  const int64_t rows = 192, cols = 40;
  for (const float size : {1e-37f, 1.f, 3e5f, 1e37f}) {
    CAPTURE(size);
    Matrix x(rows, cols, 0, 6, size);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c) x(r, c) = static_cast<float>(x.at(r, c)) + (c % 3 == 0 ? 20 * size : 0.f);
    const Nap nap{.x = x, .shape = grouped(shape_of(Code::u3, rows, cols, rows, 0), 64)};
    Asleep asleep(tested_backend(), nap);
    const std::vector<float> affine = asleep.affine();
    const Matrix woken = asleep.woken();
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c) {
        const int64_t pair = pair_of(nap.shape, r, c);
        const auto low = static_cast<double>(affine[at(2 * pair)]),
                   scale = static_cast<double>(affine[at(2 * pair + 1)]);
        CHECK(x.at(r, c) >= low);
        CHECK(x.at(r, c) <= low + 7 * scale * (1 + 1e-6));
        CHECK(std::abs(woken.at(r, c) - x.at(r, c)) <= 0.5001 * scale + 1e-6 * std::abs(x.at(r, c)));
      }
  }
  Matrix x(192, 3, 0, 3);
  x(70, 0) = std::numeric_limits<float>::infinity(), x(190, 1) = -std::numeric_limits<float>::infinity();
  x(3, 0) = unset;  // nan is passed over
  for (int64_t r = 0; r < 64; ++r) x(r, 2) = unset;
  for (Backend* backend : {&tested_backend(), &other_backend()}) {
    const Matrix woken = Asleep(*backend, {.x = x, .shape = grouped(shape_of(Code::u3, 192, 3, 192, 0), 64)}).woken();
    for (int64_t r = 0; r < 192; ++r)
      for (int64_t c = 0; c < 3; ++c) CHECK(std::isfinite(woken.at(r, c)) == (r / 64 != (c == 0 ? 1 : c == 1 ? 2 : 0)));
  }
}

TEST_CASE("codes take rows of any range, and one value alone") {
  for (const float size : {1e-44f, 1e-37f, 1.f, 1e37f})
    for (const Code code : codes) {
      CAPTURE(size);
      CAPTURE(bits_of(code));
      Matrix x(3, 300, 0, 8, size);
      for (int64_t c = 0; c < 300; ++c) x(1, c) = 2 * size, x(2, c) = c % 3 == 0 ? x(2, c) : 0;
      check_coded({.x = x, .shape = shape_of(code, 3, 300, 3, 0)});
    }
}

TEST_CASE("a zero at the end of a row's range wakes as zero, and the least range that has codes has them") {
  for (const Code code : codes) {
    CAPTURE(bits_of(code));
    Matrix x(33, 70, 0, 9);
    for (int64_t r = 0; r < 32; ++r)
      for (int64_t c = 0; c < 70; ++c) {
        const float v = std::abs(x(r, c));
        x(r, c) = c == 40 ? 0 : r % 2 == 0 ? v : -v;
      }
    const float top = static_cast<float>((1 << bits_of(code)) - 1), least = std::numeric_limits<float>::min();
    for (int64_t c = 0; c < 70; ++c) x(32, c) = c % 2 == 0 ? 0 : top * least;
    check_coded({.x = x, .shape = shape_of(code, 33, 70, 33, 0)});
    Asleep tested(tested_backend(), {.x = x, .shape = shape_of(code, 33, 70, 33, 0)});
    const Matrix woken = tested.woken();
    CHECK(woken.at(32, 1) == static_cast<double>(top * least));
  }
}

TEST_CASE("a row with an infinity or nan sleeps as one, and the others are not touched by it") {
  Matrix x(4, 70, 0, 3);
  x(1, 13) = std::numeric_limits<float>::infinity();
  x(2, 40) = unset;
  for (const Code code : codes) {
    const Nap nap{.x = x, .shape = shape_of(code, 4, 70, 4, 0)};
    Asleep tested(tested_backend(), nap), other(other_backend(), nap);
    CHECK(tested.affine() == other.affine());
    const Matrix woken = tested.woken(), of_other = other.woken();
    for (int64_t c = 0; c < 70; ++c) {
      CHECK(std::isfinite(woken.at(0, c)));
      CHECK(std::isnan(woken.at(1, c)));  // the range has no end, so no code says anything
      CHECK(std::isnan(of_other.at(1, c)));
      if (c == 40) CHECK(woken.at(2, c) == static_cast<double>(tested.affine()[4]));  // the smallest of the others
      if (c == 40) CHECK(of_other.at(2, c) == static_cast<double>(other.affine()[4]));
      CHECK(std::isfinite(woken.at(3, c)));
    }
  }
}

TEST_CASE("in f32, f16 and bf16 whole rows sleep in the same bits on every backend, whatever the values") {
  for_sizes([](const Size& s) {
    Matrix x(s.rows, s.cols, s.gap, 2);
    if (s.rows * s.cols > 6) {
      x(0, 0) = 1e5f, x(s.rows - 1, s.cols - 1) = -std::numeric_limits<float>::infinity();
      x(0, 1) = 3e-6f, x(0, 2) = -1e-9f, x(0, 3) = 65519.f, x(0, 4) = -0.f;
    }
    for (const Code code : {Code::f32, Code::f16, Code::bf16}) {
      CAPTURE(bits_of(code));
      const Nap nap{.x = x, .shape = shape_of(code, s.rows, s.cols, s.rows, 0)};
      Asleep tested(tested_backend(), nap), other(other_backend(), nap);
      CHECK(tested.values() == other.values());
      CHECK(tested.woken().same_bits(other.woken()));
    }
  });
  const Matrix nans = [] {
    Matrix m(1, 40, 0, 2);
    m.fill(unset);
    return m;
  }();
  for (const Code code : {Code::f16, Code::bf16}) {
    const Matrix woken = Asleep(tested_backend(), {.x = nans, .shape = shape_of(code, 1, 40, 1, 0)}).woken();
    for (int64_t c = 0; c < 40; ++c) CHECK(std::isnan(woken.at(0, c)));
  }
}

TEST_CASE("any band of codes, halves or floats that is woken equals those rows of the whole") {
  const Matrix x(60, 101, 0, 3);
  for (const Code code : all_codes) check_bands({.x = x, .shape = shape_of(code, 60, 101, 20, 0)});
  for (const Code code : codes) check_bands({.x = x, .shape = grouped(shape_of(code, 60, 101, 20, 0), 32)});
}

TEST_CASE("rows and columns that were chosen are packed, each group's columns by a choice of its own") {
  const int64_t cols = 40;
  const Matrix x(12, cols, 3, 4);
  for (const Code code : codes) {
    CAPTURE(bits_of(code));
    Nap nap{.x = x, .shape = shape_of(code, 12, 33, 4, 0), .rows_per_group = 4, .rounding = &key};
    nap.columns = drawn(3 * 33, cols);
    check_coded(nap);
    nap.rows_per_group = 0;
    check_coded(nap);
    nap.rows = {11, 0, 3, 3, 7, 2, 9, 1};
    nap.shape.rows = 8;
    check_coded(nap);
    nap.columns.clear();
    nap.shape.cols = cols;
    check_coded(nap);
  }
}

TEST_CASE("codes of what is less a row of its sample are those of the difference") {
  const int64_t samples = 3, each = 5, rows = samples * each;
  for (const int64_t cols : {1, 63, 64, 300}) {
    const Matrix x(rows, cols, 4, 1), shift(samples, cols, 2, 9);
    for (const Code code : codes)
      for (const int64_t group : {0, 64}) {
        CAPTURE(cols);
        CAPTURE(bits_of(code));
        check_coded(
            {.x = x, .shape = grouped(shape_of(code, rows, cols, each, 0), group), .rounding = &key, .shift = &shift});
      }
  }
}

TEST_CASE("a slope lies on its grid, within 1e-6 of the exact one before it is rounded to it") {
  const int64_t rows = 3, cols = 301;
  Matrix x(rows, cols, 0, 5);
  for (int64_t i = 0; i < rows * cols; ++i) x(i / cols, i % cols) = static_cast<float>(i % cols - 150) * 0.1f;
  const double root = std::sqrt(2.0), pi = 3.14159265358979;
  for (const Slope form : {Slope::gelu, Slope::gelu_tanh, Slope::gelu_quick}) {
    const auto slope = [&](double v) {
      if (form == Slope::gelu) return 0.5 * std::erfc(-v / root) + v * std::exp(-v * v / 2) / std::sqrt(2 * pi);
      if (form == Slope::gelu_quick) {
        const double u = 1 / (1 + std::exp(-1.702 * v));
        return u + 1.702 * v * u * (1 - u);
      }
      const double t = std::tanh(std::sqrt(2 / pi) * (v + 0.044715 * v * v * v));
      return 0.5 * (1 + t) + 0.5 * v * (1 - t * t) * std::sqrt(2 / pi) * (1 + 3 * 0.044715 * v * v);
    };
    for (const Code code : {Code::f32, Code::f16, Code::u8, Code::u4, Code::u3, Code::u2}) {
      CAPTURE(bits_of(code));
      const bool coded = bits_of(code) <= 8;
      const Nap nap{.x = x,
                    .shape = shape_of(code, rows, cols, rows, 0),
                    .rounding = coded ? &key : nullptr,  // which slopes do not heed
                    .slope = form};
      Asleep tested(tested_backend(), nap), other(other_backend(), nap);
      const Matrix woken = tested.woken(), of_other = other.woken();
      CHECK(tested.affine() == other.affine());
      const auto scale = static_cast<double>(slope_grid(code).scale),
                 offset = static_cast<double>(slope_grid(code).offset);
      const double top = offset + scale * (std::exp2(bits_of(code)) - 1);
      int64_t different = 0;
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < cols; ++c) {
          const double exact = slope(x.at(r, c)), wanted = coded ? std::clamp(exact, offset, top) : exact;
          const double tolerance = coded ? 0.5 * scale + 1e-6 : code == Code::f16 ? 5e-4 + 1e-6 : 1e-6;
          CHECK(std::abs(woken.at(r, c) - wanted) <= tolerance);
          if (coded && code != Code::u2 && std::abs(x.at(r, c)) > 14) CHECK(woken.at(r, c) == (x.at(r, c) < 0 ? 0 : 1));
          different += woken.at(r, c) != of_other.at(r, c);
        }
      if (coded) CHECK(different <= 3);  // of 903
    }
  }
}

TEST_CASE("packing no columns or no rows does nothing") {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{4, 0}, {0, 4}})
    for (const Code code : {Code::f32, Code::u4}) {
      Side side(tested_backend());
      const Matrix x(4, 4, 0, 1), untouched(1, 8, 0, 2);
      PackedView out = shape_of(code, rows, cols, rows, 0);
      out.values = out.affine = static_cast<float*>(side(untouched).data);
      PackSource source;
      source.x = side(x);
      tested_backend().pack(source, out, {});
      tested_backend().unpack(out, 0, View(out.values, rows, cols, cols));
      CHECK(side.result(untouched).same_bits(untouched));
    }
}
