// Names and sizes of types, and who knows which instruction.
#include "program.h"

#include <algorithm>

#include "families.h"
#include "shear/error.h"

namespace shear::ptx {

namespace {

struct TypeEntry {
  std::string_view name;
  Type type;
  int size;
};
constexpr TypeEntry type_table[] = {
    {"pred", Type::pred, 1}, {"u8", Type::u8, 1},       {"u16", Type::u16, 2},       {"u32", Type::u32, 4},
    {"u64", Type::u64, 8},   {"s8", Type::s8, 1},       {"s16", Type::s16, 2},       {"s32", Type::s32, 4},
    {"s64", Type::s64, 8},   {"b8", Type::b8, 1},       {"b16", Type::b16, 2},       {"b32", Type::b32, 4},
    {"b64", Type::b64, 8},   {"f16", Type::f16, 2},     {"bf16", Type::bf16, 2},     {"f32", Type::f32, 4},
    {"f64", Type::f64, 8},   {"f16x2", Type::f16x2, 4}, {"bf16x2", Type::bf16x2, 4},
};

}  // namespace

Type type_of(std::string_view name) {
  for (const TypeEntry& e : type_table)
    if (e.name == name) return e.type;
  return Type::none;
}

int size_of(Type type) {
  for (const TypeEntry& e : type_table)
    if (e.type == type) return e.size;
  return 0;
}

bool is_signed(Type t) { return t == Type::s8 || t == Type::s16 || t == Type::s32 || t == Type::s64; }
bool is_float(Type t) { return t == Type::f16 || t == Type::bf16 || t == Type::f32 || t == Type::f64; }

bool Instruction::has(std::string_view word) const {
  return std::find(words.begin() + 1, words.end(), word) != words.end();
}

Handler decode(Instruction& i) {
  for (const auto family : {decode_float, decode_integer, decode_bits, decode_compare, decode_convert, decode_memory,
                            decode_atomic, decode_control, decode_warp})
    if (const Handler handler = family(i)) return handler;
  fail(Fault::input, "ptx line ", i.line, ": the instruction ", i.text, " is not one that the interpreter knows");
}

}  // namespace shear::ptx
