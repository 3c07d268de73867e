#include "block.h"

#include <algorithm>
#include <numeric>

namespace shear::ptx {

namespace {

constexpr uint32_t warp_size = 32;
constexpr uint64_t junk = ~uint64_t{0};  // what was never written: as a float nan, as an integer -1

// Each thread has its turn, or not, at this instruction of its own.
const Instruction& waits_at(const Block& block, const Thread& t) {
  return block.launch.kernel.code[static_cast<size_t>(t.pc - 1)];
}

}  // namespace

Block::Block(const Launch& l) : launch(l), random_(l.seed) {
  const size_t n = l.block.count(), per_thread = static_cast<size_t>(l.kernel.registers);
  dynamic_offset = (l.kernel.shared_bytes + 127) / 128 * 128;
  shared.resize(l.dynamic_bytes ? dynamic_offset + l.dynamic_bytes : l.kernel.shared_bytes);
  registers_.resize(n * per_thread);
  local_.resize(n * l.kernel.local_bytes);
  threads.resize(n);
  for (size_t i = 0; i < n; ++i) {
    Thread& t = threads[i];
    t.index = static_cast<uint32_t>(i);
    t.registers = registers_.data() + i * per_thread;
    t.local = local_.data() + i * l.kernel.local_bytes;
    t.at = {t.index % l.block.x, t.index / l.block.x % l.block.y, t.index / l.block.x / l.block.y};
  }
}

void Block::fault(const Instruction& i, uint32_t thread, const std::string& what) const {
  const auto name_of = [&](Place p) -> std::string_view {
    const auto found = launch.module.files.find(p.file);
    return found == launch.module.files.end() ? std::string_view() : found->second;
  };
  // Of a function in CUDA's own headers, which alone are named so, the place where it is called.
  const Place place = name_of(i.source).ends_with(".hpp") ? i.caller : i.source;
  const std::string source = name_of(place).empty() ? "" : text(" at ", name_of(place), ":", place.line, ",");
  const Thread& t = threads[thread];
  fail(Fault::device, launch.kernel.name, source, " ptx line ", i.line, " (", i.text, "), thread (", t.at.x, ", ",
       t.at.y, ", ", t.at.z, ") of block (", at.x, ", ", at.y, ", ", at.z, "): ", what);
}

uint8_t* Block::access(const Step& step, Space space, uint64_t address, size_t bytes, bool write) {
  const char* verb = write ? "writes " : "reads ";
  if (address % bytes) step.fault(text(verb, bytes, " bytes at an address that is not a multiple of it, ", address));
  const auto within = [&](uint64_t start, size_t size) {
    return address - start < size && bytes <= size - (address - start);
  };
  const auto offset_in = [&](const char* name, uint8_t* start, size_t size) {
    if (!within(0, size))
      step.fault(text(verb, bytes, " bytes at ", static_cast<int64_t>(address), " of ", size, " bytes of ", name));
    return start + address;
  };
  const Kernel& kernel = launch.kernel;
  if (space == Space::shared) return offset_in("shared memory", shared.data(), shared.size());
  if (space == Space::local) return offset_in("local memory", step.thread.local, kernel.local_bytes);
  if (space == Space::param)
    return offset_in("parameters", const_cast<uint8_t*>(launch.parameters), kernel.parameter_bytes);
  auto* p = reinterpret_cast<uint8_t*>(address);
  if (launch.memory.holds(address, bytes)) return p;
  if (space == Space::generic) {
    if (within(reinterpret_cast<uint64_t>(shared.data()), shared.size())) return p;
    if (within(reinterpret_cast<uint64_t>(step.thread.local), kernel.local_bytes)) return p;
    if (!write && within(reinterpret_cast<uint64_t>(launch.parameters), kernel.parameter_bytes)) return p;
  }
  for (const auto& [name, v] : launch.module.variables)
    if (v.space != Space::shared && within(v.offset, v.bytes)) return p;
  step.fault(text(verb, bytes, " bytes outside the memory of the device, at ", static_cast<void*>(p)));
}

std::vector<uint32_t> Block::order() {
  std::vector<uint32_t> turns(threads.size());
  std::iota(turns.begin(), turns.end(), 0u);
  if (launch.order == Order::reverse) std::reverse(turns.begin(), turns.end());
  return turns;
}

void Block::advance(Thread& t) {
  const std::vector<Instruction>& code = launch.kernel.code;
  const auto end = static_cast<int32_t>(code.size());
  while (t.state == State::running) {
    if (t.pc >= end) {
      t.state = State::done;
      return;
    }
    const Instruction& i = code[static_cast<size_t>(t.pc++)];
    ++executed;
    if (i.guard >= 0 && ((t.registers[i.guard] & 1) != 0) == i.guard_negated) continue;
    i.run({*this, t, i});
  }
}

// Whether the lanes of some warp were all there and have gone on.
bool Block::complete_warps() {
  bool any = false;
  const auto n = static_cast<uint32_t>(threads.size());
  for (uint32_t base = 0; base < n; base += warp_size) {
    const uint32_t lanes = std::min(warp_size, n - base);
    const uint32_t present = lanes == warp_size ? ~0u : (1u << lanes) - 1;
    uint32_t looked_at = 0;
    for (uint32_t lane = 0; lane < lanes; ++lane) {
      const Thread& first = threads[base + lane];
      if (first.state != State::warp || (looked_at >> lane & 1)) continue;
      const uint32_t mask = first.mask & present;
      if (!(mask >> lane & 1))
        fault(waits_at(*this, first), first.index, "the mask of lanes does not name its own lane");
      bool all = true;
      for (uint32_t k = 0; k < lanes; ++k) {
        const Thread& t = threads[base + k];
        if (mask >> k & 1) all &= t.state == State::warp && t.pc == first.pc && (t.mask & present) == mask;
      }
      looked_at |= mask;
      if (!all) continue;
      complete_warp(*this, waits_at(*this, first), base, mask);
      any = true;
    }
  }
  return any;
}

void Block::complete_barrier() {
  const auto some = [&](State s) {
    return std::find_if(threads.begin(), threads.end(), [s](const Thread& t) { return t.state == s; });
  };
  if (const auto t = some(State::warp); t != threads.end())
    fault(waits_at(*this, *t), t->index, "waits for lanes of its warp that never come here");
  const auto first = some(State::barrier);
  const Instruction& i = waits_at(*this, *first);
  if (some(State::done) != threads.end())
    fault(i, first->index, "waits at a barrier, and some threads of the block have returned");
  for (const Thread& t : threads)
    if (t.pc != first->pc)
      fault(i, first->index,
            text("waits at this barrier, and thread ", t.index, " at another, ptx line ", waits_at(*this, t).line));
  if (i.has("red")) {  // bar.red.popc.u32 d, barrier, p;  bar.red.and.pred p, barrier, q
    const int last = i.operands_used - 1;
    uint64_t set = 0;
    for (Thread& t : threads) set += Step{*this, t, i}.predicate(last);
    const uint64_t result = i.has("popc") ? set : i.has("and") ? set == threads.size() : set > 0;
    for (Thread& t : threads) Step{*this, t, i}.set(0, result);
  }
  for (Thread& t : threads) t.state = State::running;
}

void Block::run(Dim block_at) {
  at = block_at;
  std::fill(shared.begin(), shared.end(), uint8_t{0xff});
  std::fill(registers_.begin(), registers_.end(), junk);
  std::fill(local_.begin(), local_.end(), uint8_t{0xff});
  for (Thread& t : threads) {
    t.pc = 0;
    t.state = State::running;
  }
  std::vector<uint32_t> turns = order();
  for (;;) {
    if (launch.order == Order::random) std::shuffle(turns.begin(), turns.end(), random_);
    for (const uint32_t i : turns) advance(threads[i]);
    if (complete_warps()) continue;
    if (std::all_of(threads.begin(), threads.end(), [](const Thread& t) { return t.state == State::done; })) return;
    complete_barrier();
  }
}

uint64_t run(const Launch& launch) {
  Block block(launch);
  const uint64_t blocks = launch.grid.count();
  std::mt19937 random(launch.seed);
  // Where blocks go at random, a step that shares no factor with their number visits each of them once.
  uint64_t first = 0, step = 1;
  if (launch.order == Order::reverse) first = step = blocks - 1;
  if (launch.order == Order::random) {
    first = random() % blocks;
    do step = random() % blocks + 1;
    while (std::gcd(step, blocks) != 1);
  }
  if (step == 0) step = 1;
  for (uint64_t k = 0; k < blocks; ++k) {
    const uint64_t b = (first + k * step) % blocks;
    block.run({static_cast<uint32_t>(b % launch.grid.x), static_cast<uint32_t>(b / launch.grid.x % launch.grid.y),
               static_cast<uint32_t>(b / launch.grid.x / launch.grid.y)});
  }
  return block.executed;
}

}  // namespace shear::ptx
