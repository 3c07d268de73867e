// The bits in a register as numbers, and the short floats.
#pragma once
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "program.h"

namespace shear::ptx {

// A register holds 64 bits: of a narrower value the low ones count, and the rest are its sign or zero.
template <class T>
T from_bits(uint64_t bits) {
  if constexpr (std::is_floating_point_v<T>) {
    T value;
    std::memcpy(&value, &bits, sizeof(T));
    return value;
  } else {
    return static_cast<T>(bits);
  }
}
template <class T>
uint64_t to_bits(T value) {
  if constexpr (std::is_floating_point_v<T>) {
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    return bits;
  } else if constexpr (std::is_signed_v<T>) {
    return static_cast<uint64_t>(static_cast<int64_t>(value));
  } else {
    return static_cast<uint64_t>(value);
  }
}

// An IEEE-like format of 16 bits: one sign, Exponent bits, the rest digits.
template <int Exponent>
struct Short {
  static constexpr int exponent_bits = Exponent;
  uint16_t bits = 0;
};
using Half = Short<5>;
using BFloat = Short<8>;

template <int E>
double widen(Short<E> s) {
  constexpr int digits = 15 - E, bias = (1 << (E - 1)) - 1;
  const int exponent = (s.bits >> digits) & ((1 << E) - 1), fraction = s.bits & ((1 << digits) - 1);
  double value;
  if (exponent == (1 << E) - 1)
    value = fraction ? NAN : INFINITY;
  else if (exponent == 0)
    value = std::ldexp(fraction, 1 - bias - digits);
  else
    value = std::ldexp((1 << digits) + fraction, exponent - bias - digits);
  return s.bits >> 15 ? -value : value;
}

// In the rounding mode that is set (std::fesetround).
template <int E>
Short<E> narrow(double x) {
  constexpr int digits = 15 - E, bias = (1 << (E - 1)) - 1, all_ones = (1 << E) - 1;
  const auto sign = static_cast<uint16_t>(std::signbit(x) ? 0x8000 : 0);
  if (std::isnan(x)) return {0x7fff};
  if (std::isinf(x)) return {static_cast<uint16_t>(sign | all_ones << digits)};
  int exponent = 0;
  std::frexp(x, &exponent);  // |x| in [2^(exponent-1), 2^exponent)
  const int unit = std::max(exponent - 1, 1 - bias) - digits;
  const double whole = std::fabs(std::nearbyint(std::ldexp(x, -unit)));  // may have become 2^(digits+1)
  const double value = std::ldexp(whole, unit), past = std::ldexp(1.0, all_ones - bias);
  if (value >= past) {  // infinity, unless the mode rounds towards zero from here
    const int mode = std::fegetround();
    const bool inwards = mode == FE_TOWARDZERO || mode == (sign ? FE_UPWARD : FE_DOWNWARD);
    return {static_cast<uint16_t>(sign | ((all_ones << digits) - (inwards ? 1 : 0)))};
  }
  if (value == 0) return {sign};
  std::frexp(value, &exponent);
  const int biased = exponent - 1 + bias;
  if (biased <= 0) return {static_cast<uint16_t>(sign | static_cast<int>(std::ldexp(value, digits + bias - 1)))};
  const auto fraction = static_cast<int>(std::ldexp(value, digits - exponent + 1)) - (1 << digits);
  return {static_cast<uint16_t>(sign | biased << digits | fraction)};
}

// While it lives, arithmetic is rounded so.
class RoundingScope {
 public:
  explicit RoundingScope(Rounding r) : changed_(r != Rounding::nearest) {
    constexpr int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    if (changed_) std::fesetround(modes[static_cast<int>(r)]);
  }
  ~RoundingScope() {
    if (changed_) std::fesetround(FE_TONEAREST);
  }
  RoundingScope(const RoundingScope&) = delete;
  RoundingScope& operator=(const RoundingScope&) = delete;

 private:
  bool changed_;
};

template <class T>
T flushed(T x, bool flush) {
  return flush && std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(T(0), x) : x;
}
template <class T>
T saturated(T x, bool saturate) {
  if (!saturate) return x;
  return x > 1 ? T(1) : x > 0 ? x : T(0);  // nan becomes 0
}

}  // namespace shear::ptx
