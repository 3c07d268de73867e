// f16 and bf16, against the compiler's own _Float16 and against rounding done in double.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "shear/io.h"

using namespace shear;

namespace {

uint32_t bits(float x) { return std::bit_cast<uint32_t>(x); }
float from_bits(uint32_t b) { return std::bit_cast<float>(b); }

constexpr float infinity = std::numeric_limits<float>::infinity();

// Where the compiler has an f16 of its own, it is the judge.
uint16_t judge_f16(float x) { return std::bit_cast<uint16_t>(static_cast<_Float16>(x)); }
float judge_f32(uint16_t h) { return static_cast<float>(std::bit_cast<_Float16>(h)); }

// Of all bf16 values the nearest, ties to the even one; by searching the neighbours.
uint16_t judge_bf16(float x) {
  const uint16_t down = static_cast<uint16_t>(bits(x) >> 16);  // towards zero
  const uint16_t up = static_cast<uint16_t>(down + 1);
  const auto value = [](uint16_t h) {  // infinity stands where the next value would be
    const float f = from_bits(static_cast<uint32_t>(h) << 16);
    return std::isinf(f) ? std::copysign(0x1p128, static_cast<double>(f)) : static_cast<double>(f);
  };
  const double below = std::abs(static_cast<double>(x) - value(down));
  const double above = std::abs(value(up) - static_cast<double>(x));
  if (below != above) return below < above ? down : up;
  return down % 2 == 0 ? down : up;
}

// Some floats of every exponent, on, beside and between the values that f16 and bf16 round to.
template <class Check>
void for_many_floats(Check check) {
  for (uint32_t exponent = 0; exponent < 255; ++exponent)
    for (uint32_t i = 0; i < 1024; ++i)
      for (const uint32_t low : {0x0000u, 0x0001u, 0x0fffu, 0x1000u, 0x1001u, 0x7fffu, 0x8000u, 0x8001u}) {
        const uint32_t magnitude = (exponent << 23) | ((i << 13 ^ low) & 0x7fffffu);
        check(from_bits(magnitude));
        check(from_bits(magnitude | 0x80000000u));
      }
}

}  // namespace

TEST_CASE("every f16 widens to the value that the compiler's own f16 has") {
  int wrong = 0;
  for (uint32_t h = 0; h < 65536; ++h) {
    const float ours = f16_to_f32(static_cast<uint16_t>(h)), theirs = judge_f32(static_cast<uint16_t>(h));
    wrong += std::isnan(theirs) ? !std::isnan(ours) : bits(ours) != bits(theirs);
  }
  CHECK(wrong == 0);
}

TEST_CASE("every f16 and every bf16 comes back from f32 bit for bit, a signalling nan as a quiet one") {
  int wrong_f16 = 0, wrong_bf16 = 0;
  for (uint32_t i = 0; i < 65536; ++i) {
    const auto h = static_cast<uint16_t>(i);
    const bool nan_f16 = (h & 0x7fff) > 0x7c00, nan_bf16 = (h & 0x7fff) > 0x7f80;
    wrong_f16 += f32_to_f16(f16_to_f32(h)) != (nan_f16 ? h | 0x0200 : h);
    wrong_bf16 += f32_to_bf16(bf16_to_f32(h)) != (nan_bf16 ? h | 0x0040 : h);
  }
  CHECK(wrong_f16 == 0);
  CHECK(wrong_bf16 == 0);
}

TEST_CASE("f32 rounds to f16 as the compiler rounds it, at every exponent") {
  int wrong = 0;
  for_many_floats([&](float x) { wrong += f32_to_f16(x) != judge_f16(x); });
  CHECK(wrong == 0);
}

TEST_CASE("f32 rounds to the nearest bf16, at every exponent") {
  int wrong = 0;
  for_many_floats([&](float x) { wrong += f32_to_bf16(x) != judge_bf16(x); });
  CHECK(wrong == 0);
}

TEST_CASE("f16 rounds halves to even, among the normal and the subnormal") {
  CHECK(f32_to_f16(1.0f) == 0x3c00);
  CHECK(f32_to_f16(1.0f + 0x1p-11f) == 0x3c00);                        // half way: even is below
  CHECK(f32_to_f16(1.0f + 3 * 0x1p-11f) == 0x3c02);                    // half way: even is above
  CHECK(f32_to_f16(std::nextafter(1.0f + 0x1p-11f, 2.0f)) == 0x3c01);  // just past half way
  CHECK(f32_to_f16(2.0f - 0x1p-11f) == 0x4000);                        // a carry into the exponent
  CHECK(f32_to_f16(0x1p-24f) == 0x0001);                               // the smallest
  CHECK(f32_to_f16(0x1p-25f) == 0x0000);
  CHECK(f32_to_f16(std::nextafter(0x1p-25f, 1.0f)) == 0x0001);
  CHECK(f32_to_f16(3 * 0x1p-25f) == 0x0002);
  CHECK(f32_to_f16(0x1p-14f - 0x1p-25f) == 0x0400);  // the largest subnormal rounds up to the smallest normal
  CHECK(f32_to_f16(-0.0f) == 0x8000);
  CHECK(f32_to_f16(-0x1p-149f) == 0x8000);
}

TEST_CASE("what is too large becomes infinity, and the largest values do not") {
  CHECK(f32_to_f16(65504.0f) == 0x7bff);
  CHECK(f32_to_f16(std::nextafter(65520.0f, 0.0f)) == 0x7bff);
  CHECK(f32_to_f16(65520.0f) == 0x7c00);
  CHECK(f32_to_f16(-1e30f) == 0xfc00);
  CHECK(f32_to_f16(-infinity) == 0xfc00);
  CHECK(f32_to_bf16(from_bits(0x7f7f7fff)) == 0x7f7f);
  CHECK(f32_to_bf16(from_bits(0x7f7f8000)) == 0x7f80);
  CHECK(f32_to_bf16(std::numeric_limits<float>::max()) == 0x7f80);
  CHECK(f32_to_bf16(-infinity) == 0xff80);
}

TEST_CASE("nan stays nan, whichever of its bits are set") {
  for (const uint32_t payload : {0x00000001u, 0x00000fffu, 0x00001fffu, 0x0000ffffu, 0x00400000u, 0x007fffffu})
    for (const uint32_t sign : {0u, 0x80000000u}) {
      const float nan = from_bits(sign | 0x7f800000u | payload);
      CHECK(std::isnan(f16_to_f32(f32_to_f16(nan))));
      CHECK(std::isnan(bf16_to_f32(f32_to_bf16(nan))));
      CHECK(std::signbit(f16_to_f32(f32_to_f16(nan))) == (sign != 0));
      CHECK(std::signbit(bf16_to_f32(f32_to_bf16(nan))) == (sign != 0));
    }
}
