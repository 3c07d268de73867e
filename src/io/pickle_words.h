// The words of a pickle, as tables: what a stream may name, and what each instruction is called.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "shear/shape.h"

namespace shear::pickle {

// Functions and classes that a stream may name, by what they stand for here.
enum class Global : uint8_t { dictionary, size, device, settings, storage, tensor, old_tensor, parameter };

struct Known {
  std::string_view name;
  Global is;
  DType dtype = DType::f32;  // of a storage
};
inline constexpr std::array known{
    Known{"collections.OrderedDict", Global::dictionary},
    Known{"torch.Size", Global::size},
    Known{"torch.device", Global::device},
    Known{"argparse.Namespace", Global::settings},  // of the training: read over
    Known{"torch._utils._rebuild_tensor_v2", Global::tensor},
    Known{"torch._utils._rebuild_tensor", Global::old_tensor},
    Known{"torch._utils._rebuild_parameter", Global::parameter},
    Known{"torch.FloatStorage", Global::storage, DType::f32},
    Known{"torch.DoubleStorage", Global::storage, DType::f64},
    Known{"torch.HalfStorage", Global::storage, DType::f16},
    Known{"torch.BFloat16Storage", Global::storage, DType::bf16},
    Known{"torch.LongStorage", Global::storage, DType::i64},
    Known{"torch.IntStorage", Global::storage, DType::i32},
    Known{"torch.ShortStorage", Global::storage, DType::i16},
    Known{"torch.CharStorage", Global::storage, DType::i8},
    Known{"torch.ByteStorage", Global::storage, DType::u8},
    Known{"torch.BoolStorage", Global::storage, DType::boolean},
};

// All that there are, for sentences on those that are not taken.
struct Opcode {
  unsigned char code;
  const char* name;
};
inline constexpr std::array opcodes{
    Opcode{'(', "MARK"},
    Opcode{'.', "STOP"},
    Opcode{'0', "POP"},
    Opcode{'1', "POP_MARK"},
    Opcode{'2', "DUP"},
    Opcode{'F', "FLOAT"},
    Opcode{'I', "INT"},
    Opcode{'J', "BININT"},
    Opcode{'K', "BININT1"},
    Opcode{'L', "LONG"},
    Opcode{'M', "BININT2"},
    Opcode{'N', "NONE"},
    Opcode{'P', "PERSID"},
    Opcode{'Q', "BINPERSID"},
    Opcode{'R', "REDUCE"},
    Opcode{'S', "STRING"},
    Opcode{'T', "BINSTRING"},
    Opcode{'U', "SHORT_BINSTRING"},
    Opcode{'V', "UNICODE"},
    Opcode{'X', "BINUNICODE"},
    Opcode{'a', "APPEND"},
    Opcode{'b', "BUILD"},
    Opcode{'c', "GLOBAL"},
    Opcode{'d', "DICT"},
    Opcode{'}', "EMPTY_DICT"},
    Opcode{'e', "APPENDS"},
    Opcode{'g', "GET"},
    Opcode{'h', "BINGET"},
    Opcode{'i', "INST"},
    Opcode{'j', "LONG_BINGET"},
    Opcode{'l', "LIST"},
    Opcode{']', "EMPTY_LIST"},
    Opcode{'o', "OBJ"},
    Opcode{'p', "PUT"},
    Opcode{'q', "BINPUT"},
    Opcode{'r', "LONG_BINPUT"},
    Opcode{'s', "SETITEM"},
    Opcode{'t', "TUPLE"},
    Opcode{')', "EMPTY_TUPLE"},
    Opcode{'u', "SETITEMS"},
    Opcode{'G', "BINFLOAT"},
    Opcode{0x80, "PROTO"},
    Opcode{0x81, "NEWOBJ"},
    Opcode{0x82, "EXT1"},
    Opcode{0x83, "EXT2"},
    Opcode{0x84, "EXT4"},
    Opcode{0x85, "TUPLE1"},
    Opcode{0x86, "TUPLE2"},
    Opcode{0x87, "TUPLE3"},
    Opcode{0x88, "NEWTRUE"},
    Opcode{0x89, "NEWFALSE"},
    Opcode{0x8a, "LONG1"},
    Opcode{0x8b, "LONG4"},
    Opcode{'B', "BINBYTES"},
    Opcode{'C', "SHORT_BINBYTES"},
    Opcode{0x8c, "SHORT_BINUNICODE"},
    Opcode{0x8d, "BINUNICODE8"},
    Opcode{0x8e, "BINBYTES8"},
    Opcode{0x8f, "EMPTY_SET"},
    Opcode{0x90, "ADDITEMS"},
    Opcode{0x91, "FROZENSET"},
    Opcode{0x92, "NEWOBJ_EX"},
    Opcode{0x93, "STACK_GLOBAL"},
    Opcode{0x94, "MEMOIZE"},
    Opcode{0x95, "FRAME"},
    Opcode{0x96, "BYTEARRAY8"},
    Opcode{0x97, "NEXT_BUFFER"},
    Opcode{0x98, "READONLY_BUFFER"},
};

}  // namespace shear::pickle
