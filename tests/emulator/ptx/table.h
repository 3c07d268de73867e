// Handlers made from functions of values, and tables of them by name.
#pragma once
#include <string_view>
#include <utility>

#include "block.h"
#include "families.h"

namespace shear::ptx {

struct Entry {
  std::string_view name;
  Handler handler;
};

template <size_t N>
Handler lookup(const Entry (&table)[N], std::string_view name) {
  for (const Entry& e : table)
    if (e.name == name) return e.handler;
  return nullptr;
}

template <class T, auto F>
void unary(const Step& s) {
  s.out<T>(F(s.in<T>(1)));
}
template <class T, auto F>
void binary(const Step& s) {
  s.out<T>(F(s.in<T>(1), s.in<T>(2)));
}

// f(T{}) for the whole number that a type is; bits count as unsigned.
template <class F>
Handler for_integer(Type t, F f) {
  switch (t) {
    case Type::u8:
    case Type::b8:
      return f(uint8_t{});
    case Type::u16:
    case Type::b16:
      return f(uint16_t{});
    case Type::u32:
    case Type::b32:
      return f(uint32_t{});
    case Type::u64:
    case Type::b64:
      return f(uint64_t{});
    case Type::s8:
      return f(int8_t{});
    case Type::s16:
      return f(int16_t{});
    case Type::s32:
      return f(int32_t{});
    case Type::s64:
      return f(int64_t{});
    default:
      return nullptr;
  }
}

}  // namespace shear::ptx
