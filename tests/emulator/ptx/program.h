// A PTX module, read: its kernels as decoded instructions, and the variables that they name.
//
// Source: NVIDIA, "Parallel Thread Execution ISA", version 9.0 (what nvcc 13 writes); sections are named where a rule
// of it is not plain to see.
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shear::ptx {

enum class Type : uint8_t {
  none,
  pred,
  u8,
  u16,
  u32,
  u64,
  s8,
  s16,
  s32,
  s64,
  b8,
  b16,
  b32,
  b64,
  f16,
  bf16,
  f32,
  f64,
  f16x2,
  bf16x2
};
Type type_of(std::string_view name);  // "f32"; Type::none where it is no type
int size_of(Type);                    // bytes; a predicate takes one
bool is_signed(Type);
bool is_float(Type);  // f16, bf16, f32, f64

enum class Space : uint8_t { generic, global, shared, local, param, constant };
enum class Rounding : uint8_t { nearest, zero, down, up };

struct Operand {
  enum class Kind : uint8_t {
    none,      // absent, or the sink "_"
    reg,       // a register, or two: "%p1|%p2"
    constant,  // a number, or the address of a variable
    special,   // %tid.x and its like
    list,      // { a, b, ... }: `count` operands from `first` in Instruction::parts
    address,   // [register + constant], [variable + constant]
    label,     // a place in the code: `constant` is the instruction's number
  };
  Kind kind = Kind::none;
  Space space = Space::generic;  // of the variable that is named, if one is
  bool negated = false;          // !%p
  bool dynamic = false;          // relative to the kernel's dynamic shared memory
  int32_t reg = -1, second = -1;
  int32_t first = 0, count = 0;
  uint64_t constant = 0;
};

struct Place {
  int file = 0, line = 0;  // file: by its number in the module
};

struct Step;
using Handler = void (*)(const Step&);

struct Instruction {
  static constexpr int most_operands = 6;

  std::string text;                // "add.rn.f32", as written
  std::vector<std::string> words;  // "add", "rn", "f32"
  int line = 0;                    // in the PTX text
  Place source, caller;  // in the CUDA source, where the text was made with -lineinfo; caller: of an inlined function
  Type type = Type::none, source_type = Type::none;  // the first type that is named, and the last
  Space space = Space::generic;
  Rounding rounding = Rounding::nearest;
  bool integral = false;                 // the rounding is to a whole number: .rni, .rzi, ...
  bool flush = false, saturate = false;  // .ftz, .sat
  int vector = 1;                        // .v2, .v4, .v8
  int variant = 0;                       // what a family of instructions tells its members apart by
  int guard = -1;                        // the predicate of "@%p1", or -1
  bool guard_negated = false;
  int operands_used = 0;
  std::array<Operand, most_operands> operands;
  std::vector<Operand> parts;    // of operands that are lists
  std::vector<int32_t> targets;  // of brx.idx
  Handler run = nullptr;

  const std::string& name() const { return words.front(); }
  bool has(std::string_view word) const;
};

struct Variable {
  Space space = Space::generic;
  uint64_t offset = 0;  // within its space; for global and constant memory the address itself
  size_t bytes = 0, align = 1;
};

struct Parameter {
  size_t offset, bytes;
};

struct Kernel {
  std::string name;
  std::vector<Instruction> code;
  std::vector<Parameter> parameters;
  size_t parameter_bytes = 0, shared_bytes = 0, local_bytes = 0;
  int registers = 0;
  int most_threads = 0;  // .maxntid, or 0
};

struct Module {
  std::map<std::string, Kernel, std::less<>> kernels;
  std::map<std::string, Variable, std::less<>> variables;
  std::map<int, std::string> files;          // of the CUDA source, by number
  std::deque<std::vector<uint64_t>> memory;  // of global and constant variables
};

// The number of %tid.x and its like, or -1.
int special_register(std::string_view name);

// Throws Error (Fault::input) that names the line where the text is not understood.
Module parse(std::string_view text);

// The handler of an instruction whose words, types and operands are set; may set `variant`.
// Throws Error (Fault::input) that names the instruction and its line where there is none.
Handler decode(Instruction&);

}  // namespace shear::ptx
