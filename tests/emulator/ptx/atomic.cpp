// atom and red: read, change, write; no other thread runs in between.
#include "table.h"

namespace shear::ptx {

namespace {

// Writes F(what was there, operand b, operand c).
template <class T, auto F, bool Returns>
void atomic(const Step& s) {
  constexpr int at = Returns ? 1 : 0;
  const Operand& o = s.ins.operands[at];
  uint64_t address = o.constant + (o.reg >= 0 ? s.thread.registers[o.reg] : 0);
  if (o.dynamic) address += s.block.dynamic_offset;
  if (s.ins.space == Space::shared) address &= 0xffffffffu;
  uint8_t* p = s.block.access(s, s.ins.space, address, sizeof(T), true);
  T old;
  std::memcpy(&old, p, sizeof(T));
  const T next = F(old, s.in<T>(at + 1), s.ins.operands_used > at + 2 ? s.in<T>(at + 2) : T{});
  std::memcpy(p, &next, sizeof(T));
  if constexpr (Returns) s.out<T>(old);
}

template <class T, bool Returns>
Handler atomic_table(const Instruction& i) {
  for (const std::string& word : i.words) {
    if constexpr (std::is_floating_point_v<T>) {
      if (word == "add") return atomic<T, [](T old, T b, T) { return old + b; }, Returns>;
    } else {
      using U = std::make_unsigned_t<T>;
      const Entry table[] = {
          {"add",
           atomic<T, [](T old, T b, T) { return static_cast<T>(static_cast<U>(old) + static_cast<U>(b)); }, Returns>},
          {"min", atomic<T, [](T old, T b, T) { return old < b ? old : b; }, Returns>},
          {"max", atomic<T, [](T old, T b, T) { return (old > b) ? old : b; }, Returns>},
          {"and", atomic<T, [](T old, T b, T) { return static_cast<T>(old & b); }, Returns>},
          {"or", atomic<T, [](T old, T b, T) { return static_cast<T>(old | b); }, Returns>},
          {"xor", atomic<T, [](T old, T b, T) { return static_cast<T>(old ^ b); }, Returns>},
          {"exch", atomic<T, [](T, T b, T) { return b; }, Returns>},
          {"cas", atomic<T, [](T old, T b, T c) { return old == b ? c : old; }, Returns>},
          {"inc", atomic<T, [](T old, T b, T) { return (old >= b) ? T{0} : static_cast<T>(old + 1); }, Returns>},
          {"dec",
           atomic<T, [](T old, T b, T) { return (old == 0 || (old > b)) ? b : static_cast<T>(old - 1); }, Returns>},
      };
      if (const Handler handler = lookup(table, word)) return handler;
    }
  }
  return nullptr;
}

template <class T>
Handler with_return(const Instruction& i) {
  return i.name() == "atom" ? atomic_table<T, true>(i) : atomic_table<T, false>(i);
}

}  // namespace

Handler decode_atomic(Instruction& i) {
  if (i.name() != "atom" && i.name() != "red") return nullptr;
  switch (i.type) {
    case Type::f32:
      return with_return<float>(i);
    case Type::f64:
      return with_return<double>(i);
    case Type::s32:
      return with_return<int32_t>(i);
    case Type::s64:
      return with_return<int64_t>(i);
    case Type::u32:
    case Type::b32:
      return with_return<uint32_t>(i);
    case Type::u64:
    case Type::b64:
      return with_return<uint64_t>(i);
    default:
      return nullptr;
  }
}

}  // namespace shear::ptx
