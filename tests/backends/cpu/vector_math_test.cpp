// The CPU's functions of one number, which the compiler makes vectors of.
#include "backends/cpu/vector_math.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace shear;

static constexpr float unset = std::numeric_limits<float>::quiet_NaN();

TEST_CASE("exp, tanh and the normal distribution are as accurate as their header says") {
  double of_exp = 0, of_tanh = 0, of_tail = 0, far_tail = 0;
  for (int i = -870000; i <= 880000; i += 7) {
    const float x = static_cast<float>(i) * 1e-4f;
    const double expected = std::exp(static_cast<double>(x));
    of_exp = std::max(of_exp, std::fabs(static_cast<double>(cpu::exp(x)) / expected - 1));
  }
  for (int i = 1; i <= 100000; ++i) {
    const float x = static_cast<float>(i) * 1e-4f;
    const double z = static_cast<double>(x);
    of_tanh = std::max(of_tanh, std::fabs(static_cast<double>(cpu::tanh(x)) / std::tanh(z) - 1));
    CHECK(cpu::tanh(-x) == -cpu::tanh(x));
    const double tail = std::fabs(static_cast<double>(cpu::normal(x).tail) / (0.5 * std::erfc(z / std::sqrt(2.0))) - 1);
    (i <= 20000 ? of_tail : far_tail) = std::max(i <= 20000 ? of_tail : far_tail, tail);
  }
  CHECK(of_exp < 2e-7);
  CHECK(of_tanh < 3e-7);
  CHECK(of_tail < 4e-7);   // to two deviations
  CHECK(far_tail < 5e-6);  // to ten: x^2 / 2 is rounded before it is exponentiated
  CHECK(cpu::tanh(0.f) == 0);
  CHECK(cpu::exp(0.f) == 1);
}

TEST_CASE("exp and tanh of infinities are their limits, and nan stays nan") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  CHECK(cpu::exp(-infinity) < 2e-38f);
  CHECK(cpu::exp(infinity) > 1e38f);
  CHECK(cpu::tanh(infinity) == 1);
  CHECK(cpu::tanh(-infinity) == -1);
  CHECK(std::isnan(cpu::exp(unset)));
  CHECK(std::isnan(cpu::tanh(unset)));
  CHECK(std::isnan(cpu::normal(unset).tail));
}
