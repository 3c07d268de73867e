// Loads, stores and moves; and what turns an address of one space into an address of any.
#include "table.h"

namespace shear::ptx {

namespace {

uint64_t address_of(const Step& s, const Operand& o) {
  uint64_t a = o.constant;
  if (o.reg >= 0) a += s.thread.registers[o.reg];
  if (o.dynamic) a += s.block.dynamic_offset;
  const Space space = s.ins.space;
  return space == Space::shared || space == Space::local ? a & 0xffffffffu : a;
}

// ld.global.nc.v4.f32 {a, b, c, d}, [p + 16]: a signed type fills the register with its sign.
template <class T>
void load(const Step& s) {
  const size_t n = static_cast<size_t>(s.ins.vector);
  const uint8_t* p = s.block.access(s, s.ins.space, address_of(s, s.ins.operands[1]), n * sizeof(T), false);
  const Operand& d = s.ins.operands[0];
  for (size_t k = 0; k < n; ++k) {
    T value;
    std::memcpy(&value, p + k * sizeof(T), sizeof(T));
    s.set(n == 1 ? d : s.ins.parts[static_cast<size_t>(d.first) + k], to_bits(value));
  }
}

template <class T>
void store(const Step& s) {
  const size_t n = static_cast<size_t>(s.ins.vector);
  uint8_t* p = s.block.access(s, s.ins.space, address_of(s, s.ins.operands[0]), n * sizeof(T), true);
  const Operand& from = s.ins.operands[1];
  for (size_t k = 0; k < n; ++k) {
    const T value = from_bits<T>(s.raw(n == 1 ? from : s.ins.parts[static_cast<size_t>(from.first) + k]));
    std::memcpy(p + k * sizeof(T), &value, sizeof(T));
  }
}

// The widths alone count; a float is loaded and stored as its bits.
Type as_bits(Type t) {
  if (t == Type::f16 || t == Type::bf16) return Type::b16;
  if (t == Type::f32 || t == Type::f16x2 || t == Type::bf16x2) return Type::b32;
  return t == Type::f64 ? Type::b64 : t;
}

// mov.b64 {a, b}, d  and  mov.b64 d, {a, b}: the first part is the lowest.
void unpack(const Step& s) {
  const Operand& parts = s.ins.operands[0];
  const int width = 8 * size_of(s.ins.type) / parts.count;
  for (int k = 0; k < parts.count; ++k)
    s.set(s.ins.parts[static_cast<size_t>(parts.first + k)], s.raw(1) >> (k * width) & (~uint64_t{0} >> (64 - width)));
}
void pack(const Step& s) {
  const Operand& parts = s.ins.operands[1];
  const int width = 8 * size_of(s.ins.type) / parts.count;
  uint64_t whole = 0;
  for (int k = 0; k < parts.count; ++k)
    whole |= (s.raw(s.ins.parts[static_cast<size_t>(parts.first + k)]) & (~uint64_t{0} >> (64 - width))) << (k * width);
  s.set(0, whole);
}

// Where a space lies among all addresses.
uint64_t start_of(const Step& s, Space space) {
  if (space == Space::shared) return reinterpret_cast<uint64_t>(s.block.shared.data());
  if (space == Space::local) return reinterpret_cast<uint64_t>(s.thread.local);
  if (space == Space::param) return reinterpret_cast<uint64_t>(s.block.launch.parameters);
  return 0;
}

void is_in_space(const Step& s) {
  const uint64_t a = s.raw(1);
  const auto within = [&](Space space, size_t bytes) { return a - start_of(s, space) < bytes; };
  const bool in_shared = within(Space::shared, s.block.shared.size());
  const bool in_local = within(Space::local, s.block.launch.kernel.local_bytes);
  s.set(0, s.ins.space == Space::shared ? in_shared : s.ins.space == Space::local ? in_local : !in_shared && !in_local);
}

void nothing(const Step&) {}

}  // namespace

Handler decode_memory(Instruction& i) {
  const std::string& name = i.name();
  if (name == "mov") {
    if (i.operands[0].kind == Operand::Kind::list) return unpack;
    if (i.operands[1].kind == Operand::Kind::list) return pack;
    return [](const Step& s) { s.set(0, s.raw(1)); };
  }
  if (name == "ld" || name == "ldu") return for_integer(as_bits(i.type), []<class T>(T) -> Handler { return load<T>; });
  if (name == "st") return for_integer(as_bits(i.type), []<class T>(T) -> Handler { return store<T>; });
  if (name == "cvta" && i.has("to")) return [](const Step& s) { s.set(0, s.raw(1) - start_of(s, s.ins.space)); };
  if (name == "cvta") return [](const Step& s) { s.set(0, s.raw(1) + start_of(s, s.ins.space)); };
  if (name == "isspacep") return is_in_space;
  // One thread runs at a time, and what it writes is there at once.
  if (name == "membar" || name == "fence" || name == "nanosleep" || name == "prefetch") return nothing;
  return nullptr;
}

}  // namespace shear::ptx
