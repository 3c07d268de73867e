// Instructions on bits.
#include <bit>

#include "table.h"

namespace shear::ptx {

namespace {

template <class T>
constexpr uint32_t width = 8 * sizeof(T);

// A shift by the width or more leaves nothing, or the sign.
template <class T>
void shift_left(const Step& s) {
  const uint32_t by = s.in<uint32_t>(2);
  s.out<T>(by >= width<T> ? T{0} : static_cast<T>(static_cast<uint64_t>(s.in<T>(1)) << by));
}
template <class T>
void shift_right(const Step& s) {
  const uint32_t by = s.in<uint32_t>(2);
  const T x = s.in<T>(1);
  s.out<T>(by < width<T> ? static_cast<T>(x >> by) : x < 0 ? static_cast<T>(-1) : T{0});
}

// The pair (high operand 2, low operand 1), shifted: its upper word for .l, its lower for .r.
void funnel_shift(const Step& s) {
  const uint64_t pair = uint64_t{s.in<uint32_t>(2)} << 32 | s.in<uint32_t>(1);
  const uint32_t asked = s.in<uint32_t>(3), by = s.ins.has("wrap") ? asked & 31 : std::min(asked, 32u);
  s.set(0, s.ins.has("l") ? static_cast<uint32_t>(pair << by >> 32) : static_cast<uint32_t>(pair >> by));
}

// Bits position ... position + length - 1, sign-extended for signed types (section 9.7.1.20).
template <class T>
void extract_field(const Step& s) {
  const auto x = static_cast<uint64_t>(static_cast<std::make_unsigned_t<T>>(s.in<T>(1)));
  const uint32_t position = s.in<uint32_t>(2) & 255, length = s.in<uint32_t>(3) & 255;
  const uint32_t last = std::min(position + length - 1, width<T> - 1);
  const bool sign = std::is_signed_v<T> && length > 0 && (x >> last & 1);
  uint64_t field = 0;
  for (uint32_t k = 0; k < width<T>; ++k) {
    const bool bit = k < length && position + k < width<T> ? (x >> (position + k) & 1) != 0 : sign;
    field |= uint64_t{bit} << k;
  }
  s.set(0, static_cast<uint64_t>(static_cast<T>(field)));
}

// Operand 1's low bits into operand 2, at a position and over a length.
template <class T>
void insert_field(const Step& s) {
  const uint64_t from = s.raw(1);
  uint64_t into = s.in<T>(2);
  const uint32_t position = s.in<uint32_t>(3) & 255, length = s.in<uint32_t>(4) & 255;
  for (uint32_t k = 0; k < length && position + k < width<T>; ++k) {
    const uint64_t bit = uint64_t{1} << (position + k);
    into = (into & ~bit) | ((from >> k & 1) << (position + k));
  }
  s.out<T>(static_cast<T>(into));
}

// The place of the highest bit that differs from the sign, or all ones.
template <class T>
void find_leading(const Step& s) {
  using U = std::make_unsigned_t<T>;
  const T x = s.in<T>(1);
  const U bits = static_cast<U>(x < 0 ? ~x : x);
  const auto place = static_cast<uint32_t>(std::bit_width(bits)) - 1;
  s.out<uint32_t>(bits == 0 ? ~0u : s.ins.has("shiftamt") ? width<T> - 1 - place : place);
}

template <class T>
T reversed(T x) {
  T y = 0;
  for (uint32_t k = 0; k < width<T>; ++k) y = static_cast<T>(y | (x >> k & 1) << (width<T> - 1 - k));
  return y;
}

// Byte k of the result is the byte of the pair that nibble k names; its top bit asks for the byte's sign instead.
void permute_bytes(const Step& s) {
  const uint64_t pair = uint64_t{s.in<uint32_t>(2)} << 32 | s.in<uint32_t>(1);
  const uint32_t selector = s.in<uint32_t>(3);
  uint32_t result = 0;
  for (int k = 0; k < 4; ++k) {
    const uint32_t nibble = selector >> (4 * k) & 15;
    auto byte = static_cast<uint32_t>(pair >> (8 * (nibble & 7)) & 255);
    if (nibble & 8) byte = byte & 128 ? 255 : 0;
    result |= byte << (8 * k);
  }
  s.out(result);
}

// Any function of three bits, as a table of eight: bit (a, b, c) of operand 4.
void logic3(const Step& s) {
  const uint32_t a = s.in<uint32_t>(1), b = s.in<uint32_t>(2), c = s.in<uint32_t>(3), table = s.in<uint32_t>(4);
  uint32_t result = 0;
  for (uint32_t row = 0; row < 8; ++row)
    if (table >> row & 1) result |= (row & 4 ? a : ~a) & (row & 2 ? b : ~b) & (row & 1 ? c : ~c);
  s.out(result);
}

template <auto F>
void predicates(const Step& s) {
  s.set(0, F(s.predicate(1), s.ins.operands_used > 2 && s.predicate(2)));
}

template <class T>
Handler bits_table(const Instruction& i) {
  using U = std::make_unsigned_t<T>;
  const Entry table[] = {
      {"and", binary<U, [](U x, U y) { return static_cast<U>(x & y); }>},
      {"or", binary<U, [](U x, U y) { return static_cast<U>(x | y); }>},
      {"xor", binary<U, [](U x, U y) { return static_cast<U>(x ^ y); }>},
      {"not", unary<U, [](U x) { return static_cast<U>(~x); }>},
      {"cnot", unary<U, [](U x) { return static_cast<U>(x == 0); }>},
      {"shl", shift_left<U>},
      {"shr", shift_right<T>},
      {"bfe", extract_field<T>},
      {"bfi", insert_field<U>},
      {"bfind", find_leading<T>},
      {"brev", unary<U, reversed<U>>},
      {"popc", [](const Step& s) { s.out<uint32_t>(static_cast<uint32_t>(std::popcount(s.in<U>(1)))); }},
      {"clz", [](const Step& s) { s.out<uint32_t>(static_cast<uint32_t>(std::countl_zero(s.in<U>(1)))); }},
  };
  return lookup(table, i.name());
}

}  // namespace

Handler decode_bits(Instruction& i) {
  if (i.type == Type::pred) {
    const Entry table[] = {
        {"and", predicates<[](bool x, bool y) { return x && y; }>},
        {"or", predicates<[](bool x, bool y) { return x || y; }>},
        {"xor", predicates<[](bool x, bool y) { return x != y; }>},
        {"not", predicates<[](bool x, bool) { return !x; }>},
        {"mov", predicates<[](bool x, bool) { return x; }>},
    };
    return lookup(table, i.name());
  }
  if (i.type == Type::b32) {
    if (i.name() == "lop3" && i.operands_used == 5) return logic3;
    if (i.name() == "prmt" && i.words.size() == 2) return permute_bytes;
    if (i.name() == "shf") return funnel_shift;
  }
  return for_integer(i.type, [&]<class T>(T) { return bits_table<T>(i); });
}

}  // namespace shear::ptx
