// Arithmetic on whole numbers.  All of it wraps: it is done unsigned, and only what depends on the sign is done signed.
#include "table.h"

namespace shear::ptx {

namespace {

// Wide enough for any product; not ISO C++.
__extension__ typedef __int128 Signed128;
__extension__ typedef unsigned __int128 Whole128;

template <class T>
using Unsigned = std::make_unsigned_t<T>;
template <class T>
using Wide = std::conditional_t<std::is_signed_v<T>, Signed128, Whole128>;

template <class T>
T wrapped(Whole128 x) {
  return static_cast<T>(static_cast<Unsigned<T>>(x));
}

// The low half, the high half or the whole of a product.
enum class Part { low, high, wide };

template <class T, Part P, bool Add>
void multiply(const Step& s) {
  const auto product = static_cast<Whole128>(static_cast<Wide<T>>(s.in<T>(1)) * static_cast<Wide<T>>(s.in<T>(2)));
  if constexpr (P == Part::wide) {
    uint64_t sum = static_cast<uint64_t>(product);
    if constexpr (Add) sum += s.raw(3);
    s.set(0, sum);
  } else {
    T part = wrapped<T>(P == Part::low ? product : product >> (8 * sizeof(T)));
    if constexpr (Add) part = wrapped<T>(static_cast<Unsigned<T>>(part) + static_cast<Unsigned<T>>(s.in<T>(3)));
    s.out<T>(part);
  }
}

// Extended precision (section 9.7.2): add.cc leaves a carry, addc takes it; subtraction's carry is a borrow.
template <class T, bool Subtract, bool Takes>
void carried(const Step& s) {
  using U = Unsigned<T>;
  const auto x = static_cast<Whole128>(static_cast<U>(s.in<T>(1)));
  const auto y = static_cast<Whole128>(static_cast<U>(s.in<T>(2))) + (Takes && s.thread.carry ? 1u : 0u);
  const Whole128 z = Subtract ? x - y : x + y;
  if (s.ins.has("cc")) s.thread.carry = (z >> (8 * sizeof(T)) & 1) != 0;
  s.out<T>(wrapped<T>(z));
}

template <class T, bool Takes>
void multiply_carried(const Step& s) {
  using U = Unsigned<T>;
  const auto product = static_cast<Whole128>(static_cast<Wide<T>>(s.in<T>(1)) * static_cast<Wide<T>>(s.in<T>(2)));
  const U part = static_cast<U>(s.ins.has("hi") ? product >> (8 * sizeof(T)) : product);
  const auto z = static_cast<Whole128>(part) + static_cast<U>(s.in<T>(3)) + (Takes && s.thread.carry ? 1u : 0u);
  if (s.ins.has("cc")) s.thread.carry = (z >> (8 * sizeof(T)) & 1) != 0;
  s.out<T>(wrapped<T>(z));
}

template <class T>
constexpr auto sum = [](T x, T y) { return wrapped<T>(static_cast<Unsigned<T>>(x) + static_cast<Unsigned<T>>(y)); };
template <class T>
constexpr auto difference = [](T x, T y) {
  return wrapped<T>(static_cast<Whole128>(static_cast<Unsigned<T>>(x)) - static_cast<Unsigned<T>>(y));
};
template <class T>
constexpr auto negative = [](T x) { return difference<T>(T{0}, x); };

// By zero: all ones, and the remainder is the dividend, as hardware has it (PTX leaves it open).
template <class T>
T quotient(T x, T y) {
  if (y == 0) return wrapped<T>(~static_cast<Whole128>(0));
  if constexpr (std::is_signed_v<T>)
    if (y == -1) return negative<T>(x);
  return static_cast<T>(x / y);
}
template <class T>
T remainder(T x, T y) {
  if (y == 0) return x;
  if constexpr (std::is_signed_v<T>)
    if (y == -1) return 0;
  return static_cast<T>(x % y);
}

template <class T>
T absolute(T x) {
  return x < 0 ? negative<T>(x) : x;
}

template <class T>
void add_saturated(const Step& s) {
  const bool subtract = s.ins.name() == "sub";
  const auto y = static_cast<Signed128>(s.in<T>(2));
  const auto z = static_cast<Signed128>(s.in<T>(1)) + (subtract ? -y : y);
  using Limits = std::numeric_limits<T>;
  s.out<T>(z < Limits::min() ? Limits::min() : z > Limits::max() ? Limits::max() : static_cast<T>(z));
}

template <class T>
Handler product(const Instruction& i) {
  const bool add = i.name() == "mad";
  if (i.has("wide")) return add ? multiply<T, Part::wide, true> : multiply<T, Part::wide, false>;
  if (i.has("hi")) return add ? multiply<T, Part::high, true> : multiply<T, Part::high, false>;
  return add ? multiply<T, Part::low, true> : multiply<T, Part::low, false>;
}

template <class T>
Handler integer_table(const Instruction& i) {
  const std::string& name = i.name();
  const bool cc = i.has("cc");
  if (name == "addc") return carried<T, false, true>;
  if (name == "subc") return carried<T, true, true>;
  if (name == "madc") return multiply_carried<T, true>;
  if (cc && name == "add") return carried<T, false, false>;
  if (cc && name == "sub") return carried<T, true, false>;
  if (cc && name == "mad") return multiply_carried<T, false>;
  if (i.saturate) return name == "add" || name == "sub" ? add_saturated<T> : nullptr;
  if (name == "mul" || name == "mad") return product<T>(i);
  const Entry table[] = {
      {"add", binary<T, sum<T>>},
      {"sub", binary<T, difference<T>>},
      {"div", binary<T, quotient<T>>},
      {"rem", binary<T, remainder<T>>},
      {"abs", unary<T, absolute<T>>},
      {"neg", unary<T, negative<T>>},
      {"min", binary<T, [](T x, T y) { return x < y ? x : y; }>},
      {"max", binary<T, [](T x, T y) { return (x > y) ? x : y; }>},
  };
  return lookup(table, name);
}

}  // namespace

Handler decode_integer(Instruction& i) {
  return for_integer(i.type, [&]<class T>(T) { return integer_table<T>(i); });
}

}  // namespace shear::ptx
