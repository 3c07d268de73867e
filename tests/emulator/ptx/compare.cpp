// Comparisons, and choices by a predicate.
#include "table.h"

namespace shear::ptx {

namespace {

// How two values may lie to each other; a comparison is true of some of these.
enum : int { below = 1, same = 2, above = 4, unordered = 8 };

struct Relation {
  std::string_view name;
  int true_of;
};
constexpr Relation relations[] = {
    {"eq", same},
    {"ne", below | above},
    {"lt", below},
    {"le", below | same},
    {"gt", above},
    {"ge", above | same},
    {"lo", below},
    {"ls", below | same},
    {"hi", above},
    {"hs", above | same},
    {"equ", same | unordered},
    {"neu", below | above | unordered},
    {"ltu", below | unordered},
    {"leu", below | same | unordered},
    {"gtu", above | unordered},
    {"geu", above | same | unordered},
    {"num", below | same | above},
    {"nan", unordered},
};

template <class C>
int relation_of(C x, C y) {
  return x < y ? below : x > y ? above : x == y ? same : unordered;
}

template <class T>
bool holds(const Step& s) {
  if constexpr (std::is_floating_point_v<T>)
    return s.ins.variant & relation_of(flushed(s.in<T>(1), s.ins.flush), flushed(s.in<T>(2), s.ins.flush));
  else
    return s.ins.variant & relation_of(s.in<T>(1), s.in<T>(2));
}
template <int E>
bool holds_short(const Step& s) {
  const auto value = [&](int k) { return widen(Short<E>{s.in<uint16_t>(k)}); };
  return s.ins.variant & relation_of(value(1), value(2));
}

// setp.lt.s32 p|q, a, b;  setp.lt.and.s32 p|q, a, b, !c: q takes the opposite of the comparison.
template <auto Holds>
void set_predicate(const Step& s) {
  const Instruction& i = s.ins;
  const bool is = Holds(s);
  const auto combined = [&](bool x) {
    if (i.operands_used < 4) return x;
    const bool c = s.predicate(3);
    return i.has("and") ? x && c : i.has("or") ? x || c : x != c;
  };
  const Operand& d = i.operands[0];
  const bool p = combined(is), q = combined(!is);
  s.set(d, p);
  if (d.second >= 0) s.thread.registers[d.second] = q;
}

// set.lt.u32.f32 d, a, b: all ones or zero; 1.0 or 0.0 where d is a float.
template <auto Holds>
void set_value(const Step& s) {
  const bool is = Holds(s);
  if (s.ins.type == Type::f32)
    s.out(is ? 1.f : 0.f);
  else
    s.set(0, is ? ~uint64_t{0} : 0);
}

template <auto Holds>
Handler by_name(const Instruction& i) {
  return i.name() == "setp" ? set_predicate<Holds> : set_value<Holds>;
}

Handler comparison(Instruction& i) {
  for (const std::string& word : i.words)
    for (const Relation& r : relations)
      if (r.name == word) i.variant = r.true_of;
  if (i.variant == 0) return nullptr;
  // Whole numbers have no unordered pairs; "ne" of floats leaves them out.
  const Type of = i.name() == "set" ? i.source_type : i.type;
  switch (of) {
    case Type::f32:
      return by_name<holds<float>>(i);
    case Type::f64:
      return by_name<holds<double>>(i);
    case Type::f16:
      return by_name<holds_short<5>>(i);
    case Type::bf16:
      return by_name<holds_short<8>>(i);
    default:
      return for_integer(of, [&]<class T>(T) { return by_name<holds<T>>(i); });
  }
}

// testp.finite.f32 p, a
template <class T>
Handler test_table(const Instruction& i) {
  const Entry table[] = {
      {"finite", [](const Step& s) { s.set(0, std::isfinite(s.in<T>(1))); }},
      {"infinite", [](const Step& s) { s.set(0, std::isinf(s.in<T>(1))); }},
      {"number", [](const Step& s) { s.set(0, !std::isnan(s.in<T>(1))); }},
      {"notanumber", [](const Step& s) { s.set(0, std::isnan(s.in<T>(1))); }},
      {"normal", [](const Step& s) { s.set(0, std::isnormal(s.in<T>(1))); }},
      {"subnormal", [](const Step& s) { s.set(0, std::fpclassify(s.in<T>(1)) == FP_SUBNORMAL); }},
  };
  return i.words.size() < 2 ? nullptr : lookup(table, i.words[1]);
}

}  // namespace

Handler decode_compare(Instruction& i) {
  const std::string& name = i.name();
  if (name == "setp" || name == "set") return comparison(i);
  if (name == "selp") return [](const Step& s) { s.set(0, s.predicate(3) ? s.raw(1) : s.raw(2)); };
  if (name == "slct" && i.source_type == Type::s32)
    return [](const Step& s) { s.set(0, s.in<int32_t>(3) >= 0 ? s.raw(1) : s.raw(2)); };
  if (name == "slct" && i.source_type == Type::f32)
    return [](const Step& s) { s.set(0, s.in<float>(3) >= 0 ? s.raw(1) : s.raw(2)); };
  if (name == "testp")
    return i.type == Type::f32 ? test_table<float>(i) : i.type == Type::f64 ? test_table<double>(i) : nullptr;
  return nullptr;
}

}  // namespace shear::ptx
