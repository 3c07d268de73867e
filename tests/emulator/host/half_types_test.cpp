// f16 and bf16 as the emulation converts them: every pattern up, and down as the compiler's own types have it.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "device_vector.h"
#include "sample_kernels.h"

using namespace shear::test;

namespace {

// The value that sign, exponent and fraction of a pattern stand for, by the definition of the format.
double value_of(unsigned bits, int exponent_bits, int fraction_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = static_cast<int>(bits >> fraction_bits) & ((1 << exponent_bits) - 1);
  const double fraction = std::ldexp(bits & ((1u << fraction_bits) - 1), -fraction_bits);
  const double sign = bits >> (exponent_bits + fraction_bits) ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1)
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  return sign * (exponent == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1 + fraction, exponent - bias));
}
bool same(double a, double b) { return a == b ? std::signbit(a) == std::signbit(b) : std::isnan(a) && std::isnan(b); }

}  // namespace

TEST_CASE("every f16 and every bf16 has the value that its format gives it") {
  int wrong = 0;
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const auto pattern = static_cast<unsigned short>(bits);
    wrong += !same(static_cast<double>(__half2float(__ushort_as_half(pattern))), value_of(bits, 5, 10));
    wrong += !same(static_cast<double>(__bfloat162float(__ushort_as_bfloat16(pattern))), value_of(bits, 8, 7));
  }
  CHECK(wrong == 0);
}

TEST_CASE("f32 becomes the nearest f16 or bf16, ties to even") {
  // Between two neighbours of a format: the quarter points, the middle and its own neighbours.
  int wrong = 0;
  const auto check = [&](unsigned limit, int exponent_bits, int fraction_bits, auto down) {
    for (unsigned bits = 0; bits + 1 < limit; ++bits) {
      const double low = value_of(bits, exponent_bits, fraction_bits),
                   high = value_of(bits + 1, exponent_bits, fraction_bits);
      const auto middle = static_cast<float>((low + high) / 2);
      wrong += down(static_cast<float>(low)) != bits;
      wrong += down(std::nextafter(middle, -1.0f)) != bits;
      wrong += down(middle) != (bits % 2 == 0 ? bits : bits + 1);
      wrong += down(std::nextafter(middle, std::numeric_limits<float>::infinity())) != bits + 1;
      wrong += down(-static_cast<float>(high)) != (bits + 1) + 0x8000;
    }
  };
  check(0x7c00, 5, 10, [](float f) { return unsigned{__half_as_ushort(__float2half(f))}; });
  // Below 0x0080 a middle is no normal f32, and is exact all the same.
  check(0x7f80, 8, 7, [](float f) { return unsigned{__bfloat16_as_ushort(__float2bfloat16(f))}; });
  CHECK(wrong == 0);
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(__half_as_ushort(__float2half(65519.0f)) == 0x7bff);
  CHECK(__half_as_ushort(__float2half(65520.0f)) == 0x7c00);
  CHECK(__half_as_ushort(__float2half(-infinity)) == 0xfc00);
  CHECK(__bfloat16_as_ushort(__float2bfloat16(infinity)) == 0x7f80);
  CHECK(__half_as_ushort(__float2half(std::nanf(""))) == 0x7fff);
  CHECK(__bfloat16_as_ushort(__float2bfloat16(std::nanf(""))) == 0x7fff);
}

TEST_CASE("a kernel on bf16 rounds once per element") {
  std::vector<__nv_bfloat16> x;
  std::vector<unsigned short> expected, got;
  for (int i = 0; i < 1000; ++i) {
    x.push_back(__float2bfloat16(0.01f * static_cast<float>(i) - 5.0f));
    expected.push_back(__bfloat16_as_ushort(__float2bfloat16(__bfloat162float(x.back()) * 1.7f)));
  }
  const DeviceVector<__nv_bfloat16> dx(x), dy(x.size());
  shear::cuda::sample::scale_bf16(dx.data(), 1.7f, dy.data(), 1000, nullptr);
  for (const __nv_bfloat16 v : dy.get()) got.push_back(__bfloat16_as_ushort(v));
  CHECK(got == expected);
}
