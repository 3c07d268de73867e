// cvt: from any number to any other.  A float becomes a whole number with saturation; a whole number too wide for
// its new type loses its high bits, unless .sat is asked for.
#include <limits>

#include "table.h"

namespace shear::ptx {

namespace {

double read_float(const Step& s, int k, Type t) {
  switch (t) {
    case Type::f16:
      return widen(Half{s.in<uint16_t>(k)});
    case Type::bf16:
      return widen(BFloat{s.in<uint16_t>(k)});
    case Type::f32:
      return static_cast<double>(flushed(s.in<float>(k), s.ins.flush));
    default:
      return s.in<double>(k);
  }
}

double rounded_to_whole(double x, Rounding r) {
  switch (r) {
    case Rounding::zero:
      return std::trunc(x);
    case Rounding::down:
      return std::floor(x);
    case Rounding::up:
      return std::ceil(x);
    default:
      return std::nearbyint(x);
  }
}

// x in the format `t`, rounded as the instruction says.
uint64_t float_bits(const Instruction& i, Type t, double x) {
  if (i.has("relu") && !(x > 0) && !std::isnan(x)) x = 0;
  x = saturated(x, i.saturate);
  const RoundingScope scope(i.rounding);
  switch (t) {
    case Type::f16:
      return narrow<5>(x).bits;
    case Type::bf16:
      return narrow<8>(x).bits;
    case Type::f32: {
      const volatile double from = x;
      const volatile auto to = static_cast<float>(from);
      return to_bits(flushed(static_cast<float>(to), i.flush));
    }
    default:
      return to_bits(x);
  }
}

void float_to_float(const Step& s) {
  double x = read_float(s, 1, s.ins.source_type);
  if (s.ins.integral) x = rounded_to_whole(x, s.ins.rounding);
  s.set(0, float_bits(s.ins, s.ins.type, x));
}

// cvt.rn.f16x2.f32 d, a, b: a above, b below.
void floats_to_pair(const Step& s) {
  const Type part = s.ins.type == Type::f16x2 ? Type::f16 : Type::bf16;
  const auto half = [&](int k) { return float_bits(s.ins, part, read_float(s, k, Type::f32)); };
  s.set(0, half(1) << 16 | half(2));
}

template <class T>
void float_to_whole(const Step& s) {
  using Limits = std::numeric_limits<T>;
  const double x = rounded_to_whole(read_float(s, 1, s.ins.source_type), s.ins.rounding);
  const double past = std::ldexp(1.0, Limits::digits), least = std::is_signed_v<T> ? -past : 0.0;
  if (std::isnan(x))  // 0, and of 64 bits the highest bit alone (section 9.7.9.21)
    s.out<T>(sizeof(T) == 8 ? static_cast<T>(uint64_t{1} << 63) : T{0});
  else
    s.out<T>(x >= past ? Limits::max() : x <= least ? Limits::min() : static_cast<T>(x));
}

template <class T>
void whole_to_float(const Step& s) {
  const Instruction& i = s.ins;
  const RoundingScope scope(i.rounding);
  const volatile T x = s.in<T>(1);
  if (i.type == Type::f32) {
    const volatile auto y = static_cast<float>(x);
    s.out(saturated(static_cast<float>(y), i.saturate));
  } else {
    const volatile auto y = static_cast<double>(x);
    s.set(0, float_bits(i, i.type, y));
  }
}

template <class To, class From>
void whole_to_whole(const Step& s) {
  const From x = s.in<From>(1);
  if (s.ins.saturate) {
    using Limits = std::numeric_limits<To>;
    s.out<To>(std::cmp_less(x, Limits::min())      ? Limits::min()
              : std::cmp_greater(x, Limits::max()) ? Limits::max()
                                                   : static_cast<To>(x));
  } else {
    s.out<To>(static_cast<To>(x));
  }
}

}  // namespace

Handler decode_convert(Instruction& i) {
  if (i.name() != "cvt") return nullptr;
  const Type to = i.type, from = i.source_type;
  if ((to == Type::f16x2 || to == Type::bf16x2) && from == Type::f32 && i.operands_used == 3) return floats_to_pair;
  if (i.operands_used != 2) return nullptr;
  if (is_float(to) && is_float(from)) return float_to_float;
  if (is_float(from)) return for_integer(to, []<class T>(T) -> Handler { return float_to_whole<T>; });
  if (is_float(to)) return for_integer(from, []<class T>(T) -> Handler { return whole_to_float<T>; });
  return for_integer(to, [&]<class To>(To) {
    return for_integer(from, []<class From>(From) -> Handler { return whole_to_whole<To, From>; });
  });
}

}  // namespace shear::ptx
