// A block of threads while it runs.  A thread runs until it waits: at a barrier of the block, or for lanes of its warp.
#pragma once
#include <random>
#include <vector>

#include "memory.h"
#include "numbers.h"
#include "program.h"
#include "shear/error.h"

namespace shear::ptx {

struct Dim {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t count() const { return uint64_t{x} * y * z; }
};

// In which order threads, warps and blocks have their turn.
enum class Order : uint8_t { forward, reverse, random };

struct Launch {
  const Module& module;
  const Kernel& kernel;
  const Memory& memory;
  Dim grid{}, block{};
  size_t dynamic_bytes = 0;             // of shared memory
  const uint8_t* parameters = nullptr;  // kernel.parameter_bytes of them
  Order order = Order::forward;
  uint32_t seed = 1;  // of Order::random
};

// Runs every block, one after the other.  Throws Error (Fault::device) with what a kernel did wrong and where: an
// access out of bounds, a misaligned one, a barrier that some threads do not reach, a shuffle with a lane that is not
// there. Returns how many instructions ran.
uint64_t run(const Launch&);

enum class State : uint8_t { running, barrier, warp, done };

struct Thread {
  uint64_t* registers = nullptr;
  uint8_t* local = nullptr;
  uint32_t index = 0;  // in the block
  Dim at;              // threadIdx
  int32_t pc = 0;      // the next instruction
  uint32_t mask = 0;   // of the lanes that it waits for
  State state = State::running;
  bool carry = false;  // of add.cc and its like
};

class Block {
 public:
  explicit Block(const Launch&);
  void run(Dim at);

  const Launch& launch;
  Dim at;  // blockIdx
  std::vector<Thread> threads;
  std::vector<uint8_t> shared;
  uint64_t dynamic_offset = 0;  // in shared memory
  uint64_t executed = 0;

  // Checks an access and gives its place; `space` generic: wherever the address lies.
  uint8_t* access(const Step&, Space, uint64_t address, size_t bytes, bool write);
  [[noreturn]] void fault(const Instruction&, uint32_t thread, const std::string& what) const;

 private:
  std::vector<uint32_t> order();
  void advance(Thread&);
  bool complete_warps();
  void complete_barrier();

  std::vector<uint64_t> registers_;
  std::vector<uint8_t> local_;
  std::mt19937 random_;
};

// Of the lanes `mask` of the warp that starts at thread `base`, all of which wait at this instruction.
void complete_warp(Block&, const Instruction&, uint32_t base, uint32_t mask);
uint64_t special_value(uint64_t number, const Block&, const Thread&);

// One instruction of one thread.
struct Step {
  Block& block;
  Thread& thread;
  const Instruction& ins;

  uint64_t raw(const Operand& o) const {
    switch (o.kind) {
      case Operand::Kind::reg:
        return thread.registers[o.reg];
      case Operand::Kind::constant:
        return o.dynamic ? block.dynamic_offset + o.constant : o.constant;
      case Operand::Kind::special:
        return special_value(o.constant, block, thread);
      default:
        fault("reads an operand that is no value");
    }
  }
  uint64_t raw(int k) const { return raw(ins.operands[static_cast<size_t>(k)]); }
  template <class T>
  T in(int k) const {
    return from_bits<T>(raw(k));
  }
  bool predicate(int k) const {
    const Operand& o = ins.operands[static_cast<size_t>(k)];
    return ((raw(o) & 1) != 0) != o.negated;
  }

  void set(const Operand& o, uint64_t bits) const {
    if (o.kind == Operand::Kind::reg)
      thread.registers[o.reg] = bits;
    else if (o.kind != Operand::Kind::none)
      fault("writes an operand that is no register");
  }
  void set(int k, uint64_t bits) const { set(ins.operands[static_cast<size_t>(k)], bits); }
  template <class T>
  void out(T value) const {
    set(0, to_bits(value));
  }

  [[noreturn]] void fault(const std::string& what) const { block.fault(ins, thread.index, what); }
};

}  // namespace shear::ptx
