// Jumps, ends, and barriers.
#include "table.h"

namespace shear::ptx {

namespace {

void jump(const Step& s) { s.thread.pc = static_cast<int32_t>(s.ins.operands[0].constant); }

// brx.idx index, table
void jump_by_index(const Step& s) {
  const uint32_t index = s.in<uint32_t>(0);
  if (index >= s.ins.targets.size()) s.fault(text("jumps to entry ", index, " of a table of ", s.ins.targets.size()));
  s.thread.pc = s.ins.targets[index];
}

void end(const Step& s) { s.thread.state = State::done; }

void wait(const Step& s) { s.thread.state = State::barrier; }

}  // namespace

Handler decode_control(Instruction& i) {
  const std::string& name = i.name();
  if (name == "bra") return jump;
  if (name == "brx") return jump_by_index;
  if (name == "ret" || name == "exit") return end;
  if (name == "trap") return [](const Step& s) { s.fault("traps"); };
  if ((name == "bar" || name == "barrier") && !i.has("warp")) {
    // Barrier 0 of the whole block: bar.sync 0, barrier.sync.aligned 0, bar.red.popc.u32 d, 0, p.
    const bool red = i.has("red");
    const Operand& which = i.operands[red ? 1 : 0];
    if (i.has("arrive") || which.kind != Operand::Kind::constant || which.constant != 0) return nullptr;
    if (i.operands_used != (red ? 3 : 1)) return nullptr;
    return wait;
  }
  return nullptr;
}

}  // namespace shear::ptx
