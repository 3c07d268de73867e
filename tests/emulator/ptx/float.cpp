// Arithmetic on floats.  f16 and bf16 are computed in double and rounded once, which is exact for all but the rarest
// fused multiply-adds.  Approximations (ex2.approx and its like) are modelled as nearly correctly rounded: hardware is
// off by a few units in the last place.
#include <algorithm>

#include "table.h"

namespace shear::ptx {

namespace {

// What is computed with, and how it is read and written.
template <class T>
struct Format {
  using Compute = T;
  static T read(uint64_t bits) { return from_bits<T>(bits); }
  static uint64_t write(T x) { return to_bits(x); }
};
template <int E>
struct Format<Short<E>> {
  using Compute = double;
  static double read(uint64_t bits) { return widen(Short<E>{static_cast<uint16_t>(bits)}); }
  static uint64_t write(double x) { return narrow<E>(x).bits; }
};

// d = F(operands 1 ... Count)
template <class T, int Count, auto F>
void compute(const Step& s) {
  using C = typename Format<T>::Compute;
  const Instruction& i = s.ins;
  // Volatile: the compiler may not move arithmetic out of the scope of the rounding mode.
  volatile C x[Count];
  for (int k = 0; k < Count; ++k) x[k] = flushed(Format<T>::read(s.raw(k + 1)), i.flush);
  const RoundingScope scope(i.rounding);
  volatile C y;
  if constexpr (Count == 1)
    y = F(x[0]);
  else if constexpr (Count == 2)
    y = F(x[0], x[1]);
  else
    y = F(x[0], x[1], x[2]);
  s.set(0, Format<T>::write(saturated(flushed(static_cast<C>(y), i.flush), i.saturate)));
}

// Two halves of a register, each with its own arithmetic.
template <class T, int Count, auto F>
void compute_pair(const Step& s) {
  uint64_t both = 0;
  for (int half = 0; half < 2; ++half) {
    double x[3] = {};
    for (int k = 0; k < Count; ++k) x[k] = Format<T>::read(s.raw(k + 1) >> (16 * half) & 0xffff);
    double y;
    if constexpr (Count == 1)
      y = F(x[0]);
    else if constexpr (Count == 2)
      y = F(x[0], x[1]);
    else
      y = F(x[0], x[1], x[2]);
    both |= Format<T>::write(saturated(y, s.ins.saturate)) << (16 * half);
  }
  s.set(0, both);
}

// A nan loses, unless .NaN is asked for; of two zeros, -0 is the smaller.
template <class C, bool Largest, bool KeepNan>
C extreme(C x, C y) {
  if (std::isnan(x) || std::isnan(y))
    return KeepNan || (std::isnan(x) && std::isnan(y)) ? C(NAN) : std::isnan(x) ? y : x;
  const bool less = x < y || (x == y && std::signbit(x) && !std::signbit(y));
  return less == Largest ? y : x;
}

// Functions of C: float, or double (which stands for the short formats too).
template <class T, template <class, int, auto> class Maker>
Handler float_table(const Instruction& i) {
  using C = typename Format<T>::Compute;
  const Entry table[] = {
      {"add", Maker<T, 2, [](C x, C y) { return x + y; }>::handler},
      {"sub", Maker<T, 2, [](C x, C y) { return x - y; }>::handler},
      {"mul", Maker<T, 2, [](C x, C y) { return x * y; }>::handler},
      {"div", Maker<T, 2, [](C x, C y) { return x / y; }>::handler},
      {"fma", Maker<T, 3, [](C x, C y, C z) { return std::fma(x, y, z); }>::handler},
      {"mad", Maker<T, 3, [](C x, C y, C z) { return std::fma(x, y, z); }>::handler},
      {"abs", Maker<T, 1, [](C x) { return std::fabs(x); }>::handler},
      {"neg", Maker<T, 1, [](C x) { return -x; }>::handler},
      {"rcp", Maker<T, 1, [](C x) { return 1 / x; }>::handler},
      {"sqrt", Maker<T, 1, [](C x) { return std::sqrt(x); }>::handler},
      {"rsqrt", Maker<T, 1, [](C x) { return static_cast<C>(1 / std::sqrt(static_cast<double>(x))); }>::handler},
      {"ex2", Maker<T, 1, [](C x) { return std::exp2(x); }>::handler},
      {"lg2", Maker<T, 1, [](C x) { return std::log2(x); }>::handler},
      {"sin", Maker<T, 1, [](C x) { return std::sin(x); }>::handler},
      {"cos", Maker<T, 1, [](C x) { return std::cos(x); }>::handler},
      {"tanh", Maker<T, 1, [](C x) { return std::tanh(x); }>::handler},
      {"copysign", Maker<T, 2, [](C sign, C x) { return std::copysign(x, sign); }>::handler},
  };
  const bool three = i.operands_used == 4, keep_nan = i.has("NaN");
  if (i.name() == "min" || i.name() == "max") {
    if (i.has("xorsign")) return nullptr;
    const auto choose = [&]<bool Largest>() -> Handler {
      constexpr auto two = extreme<C, Largest, false>;
      constexpr auto two_nan = extreme<C, Largest, true>;
      if (three)
        return keep_nan ? Maker<T, 3, [](C x, C y, C z) { return two_nan(two_nan(x, y), z); }>::handler
                        : Maker<T, 3, [](C x, C y, C z) { return two(two(x, y), z); }>::handler;
      return keep_nan ? Maker<T, 2, two_nan>::handler : Maker<T, 2, two>::handler;
    };
    return i.name() == "max" ? choose.template operator()<true>() : choose.template operator()<false>();
  }
  return lookup(table, i.name());
}

template <class T, int Count, auto F>
struct One {
  static constexpr Handler handler = compute<T, Count, F>;
};
template <class T, int Count, auto F>
struct Pair {
  static constexpr Handler handler = compute_pair<T, Count, F>;
};

}  // namespace

Handler decode_float(Instruction& i) {
  if (i.integral) return nullptr;
  switch (i.type) {
    case Type::f32:
      return float_table<float, One>(i);
    case Type::f64:
      return float_table<double, One>(i);
    case Type::f16:
      return float_table<Half, One>(i);
    case Type::bf16:
      return float_table<BFloat, One>(i);
    case Type::f16x2:
      return float_table<Half, Pair>(i);
    case Type::bf16x2:
      return float_table<BFloat, Pair>(i);
    default:
      return nullptr;
  }
}

}  // namespace shear::ptx
