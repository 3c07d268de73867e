// What comes after what, and what is told of it.
#include "checker.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "source_lines.h"

namespace cuemu {
namespace {

constexpr unsigned warp_lanes = 32;

// On x86-64 and aarch64 the executable's thread_local variables lie at a fixed distance from the thread pointer, whose
// place tells the address of any of them: dyn_smem, whose symbol says how far into the block it is.
const char* start_of_thread_locals(const ElfSymbols& symbols) {
  for (const ElfSymbols::Symbol& s : symbols.tls)
    if (s.name == "dyn_smem") return reinterpret_cast<const char*>(dyn_smem) - s.start;
  return nullptr;
}

__attribute__((format(printf, 1, 2))) std::string text_of(const char* format, ...) {
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

}  // namespace

AccessChecker& access_checker() {
  static auto* const it = new AccessChecker;  // memory is freed at the end of the program too
  return *it;
}

// Linked, the checker is there from the start.
static const bool installed = (checker = &access_checker(), true);

AccessChecker::AccessChecker()
    : symbols_(read_own_symbols()), shared_(start_of_thread_locals(symbols_), symbols_.tls_bytes) {}

// -- What the emulation tells ----------------------------------------------------------------------------------------

void AccessChecker::launch_begins(const Launch& launch) {
  launch_ = &launch;
  launch_began_ = ++now_;
  const char* const kernel = static_cast<const char*>(launch.kernel);
  const ElfSymbols::Symbol* const symbol =
      ElfSymbols::find(symbols_.functions, static_cast<uint64_t>(kernel - symbols_.base));
  kernel_symbol_ = symbol ? symbol->name : "";
  traffic_.launch_begins(kernel_name(launch.kernel));
}
void AccessChecker::launch_ends() {
  launch_ = nullptr;
  ++now_;
}
void AccessChecker::block_begins(unsigned threads) {
  block_began_ = ++now_;
  traffic_.block_begins();
  clocks_.resize((threads + warp_lanes - 1) / warp_lanes * warp_lanes * warp_lanes);
  reset_clocks();
}
void AccessChecker::block_barrier() {
  ++now_;
  reset_clocks();
}
// A lane comes after nothing of the others' and is at its own first barrier.
void AccessChecker::reset_clocks() {
  std::fill(clocks_.begin(), clocks_.end(), 0u);
  for (size_t own = 0; own < clocks_.size(); ++own)
    if (own % 1024 % 33 == 0) clocks_[own] = 1;
}
void AccessChecker::warp_barrier(unsigned warp, unsigned lanes) {
  uint32_t* const clocks = clocks_of(warp);
  uint32_t together[warp_lanes] = {};
  for (unsigned l = 0; l < warp_lanes; ++l)
    if (lanes >> l & 1)
      for (unsigned k = 0; k < warp_lanes; ++k) together[k] = std::max(together[k], clocks[l * warp_lanes + k]);
  for (unsigned l = 0; l < warp_lanes; ++l) {
    if (!(lanes >> l & 1)) continue;
    std::copy(together, together + warp_lanes, clocks + l * warp_lanes);
    ++clocks[l * warp_lanes + l];
  }
}

void AccessChecker::allocated(char* data, size_t bytes) {
  device_.emplace(data, Shadow(data, bytes));
  last_found_ = nullptr;
}
void AccessChecker::freed(char* data) {
  device_.erase(data);
  last_found_ = nullptr;
}
void AccessChecker::written_by_host(const void* p, size_t bytes) {
  const char* const to = static_cast<const char*>(p);
  Shadow* const shadow = device_shadow(to);
  if (!shadow) return;
  shadow->make_fine_enough(to, bytes);
  for (size_t i = shadow->first(to); i < shadow->end(to, bytes); ++i) (*shadow)[i].initialised = true;
}
void AccessChecker::copied(const void* to, const void* from, size_t bytes) {
  const char *target = static_cast<const char*>(to), *source = static_cast<const char*>(from);
  Shadow* const shadow = device_shadow(source);
  if (!shadow) return;
  const auto fours = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 4 == 0; };
  const size_t step = bytes % 4 == 0 && fours(to) && fours(from) ? 4 : 1;
  for (size_t at = 0; at < bytes; at += step)
    if ((*shadow)[shadow->first(source + at)].initialised) written_by_host(target + at, step);
}
void AccessChecker::touched(const void* p, size_t bytes, bool written, const void* code) {
  access(static_cast<const char*>(p), bytes, written ? Access::write : Access::read, false, code);
}

// -- An access -------------------------------------------------------------------------------------------------------

void AccessChecker::access(const char* p, size_t bytes, Access kind, bool may_be_unaligned, const void* code) {
  if (!may_be_unaligned && reinterpret_cast<uintptr_t>(p) % bytes != 0)
    tell(Finding::misaligned, "a misaligned access", p, code);
  Shadow* const shadow = checked_shadow(p, bytes, kind, code);
  if (!shadow) return;
  shadow->make_fine_enough(p, bytes);
  const auto thread = static_cast<unsigned>(running.thread);
  const uint32_t clock = clocks_of(thread / warp_lanes)[thread % warp_lanes * (warp_lanes + 1)];
  const auto offset = static_cast<uint32_t>(static_cast<const char*>(code) - symbols_.base);
  const Event event{now_, clock, offset, static_cast<uint16_t>(thread), kind == Access::atomic};
  const bool global = shadow != &shared_;
  const bool reads = kind != Access::write, writes = kind != Access::read;
  if (global) traffic_.access(thread, offset, p, bytes, reads, writes);
  for (size_t i = shadow->first(p); i < shadow->end(p, bytes); ++i) {
    Cell& cell = (*shadow)[i];
    if (global) traffic_.cell(cell, shadow->width(), reads, writes, launch_began_);
    look_at_cell(cell, event, kind, p, code, global);
  }
}

// The cells of the bytes; null where they are none of the kernel's business, which is told, or are constants.
Shadow* AccessChecker::checked_shadow(const char* p, size_t bytes, Access kind, const void* code) {
  if (Shadow* const shadow = device_shadow(p)) {
    if (p + bytes <= shadow->start() + shadow->bytes()) return shadow;
    tell(Finding::out_of_bounds, "an access that begins in bounds and ends out of them", p, code);
    return nullptr;
  }
  if (shared_.holds(p)) {
    if (in_index_variable(p)) return nullptr;
    const ElfSymbols::Symbol* const variable =
        ElfSymbols::find(symbols_.tls, static_cast<uint64_t>(p - shared_.start()));
    if (!variable || p + bytes > shared_.start() + variable->start + variable->bytes || of_another_kernel(*variable)) {
      tell(Finding::out_of_bounds, "a shared access out of bounds", p, code);
      return nullptr;
    }
    const char* const dynamic = reinterpret_cast<const char*>(dyn_smem);
    if (p >= dynamic && p < dynamic + sizeof dyn_smem && p + bytes > dynamic + launch_->shared_bytes) {
      tell(Finding::out_of_bounds, "an access past the dynamic shared memory of the launch", p, code);
      return nullptr;
    }
    return &shared_;
  }
  const char* const arguments = static_cast<const char*>(launch_->arguments.get());
  const bool argument = p >= arguments && p < arguments + launch_->arguments_bytes;
  const bool in_executable = p >= symbols_.low && p < symbols_.high;  // __constant__, literals
  if (in_executable || (argument && kind == Access::read)) return nullptr;
  tell(
      Finding::foreign,
      kind == Access::read ? "a read of memory that is not the device's" : "a write to memory that is not the device's",
      p, code);
  return nullptr;
}

void AccessChecker::look_at_cell(Cell& cell, const Event& event, Access kind, const char* p, const void* code,
                                 bool global) {
  const bool initialised = global ? cell.initialised : cell.write.moment >= block_began_;
  if (kind != Access::write && !initialised) tell(Finding::uninitialised, "a read of uninitialised memory", p, code);
  const char* const what = kind == Access::read     ? "a race, read"
                           : kind == Access::atomic ? "a race, atomic"
                                                    : "a race, write";
  if (!(kind == Access::atomic && cell.write.atomic) && !ordered(cell.write, global))
    tell(Finding::race, what, p, code, &cell.write, cell.write.atomic ? "changed atomically" : "written");
  if (kind == Access::read) {
    (cell.read.moment == now_ && cell.read.thread != event.thread ? cell.other_read : cell.read) = event;
    return;
  }
  for (const Event* read : {&cell.read, &cell.other_read})
    if (!ordered(*read, global)) tell(Finding::race, what, p, code, read, "read");
  cell.write = event;
  cell.initialised = true;
}

// Whether it happened before what the running thread does now.
bool AccessChecker::ordered(const Event& e, bool global) const {
  if (e.moment < launch_began_) return true;
  if (e.moment < block_began_) return !global;  // shared memory is another in each block
  if (e.moment < now_) return true;
  const auto thread = static_cast<unsigned>(running.thread);
  if (e.thread == thread) return true;
  if (e.thread / warp_lanes != thread / warp_lanes) return false;
  return clocks_of(thread / warp_lanes)[thread % warp_lanes * warp_lanes + e.thread % warp_lanes] >= e.clock;
}

Shadow* AccessChecker::device_shadow(const char* p) {
  if (last_found_ && last_found_->holds(p)) return last_found_;
  const auto after = device_.upper_bound(p);
  if (after == device_.begin()) return nullptr;
  Shadow& shadow = std::prev(after)->second;
  return shadow.holds(p) ? last_found_ = &shadow : nullptr;
}

// Shared variables of kernels may lie side by side; what reaches into the next one's is out of bounds all the same. The
// symbol of a variable inside of a function is _ZZ, the function's after its _Z, E, and the variable's name.
bool AccessChecker::of_another_kernel(const ElfSymbols::Symbol& variable) {
  if (!variable.name.starts_with("_ZZ") || own_.contains({kernel_symbol_, variable.start})) return false;
  const auto holds_variable = [&](const std::string& function) {
    return function.starts_with("_Z") && variable.name.compare(3, function.size() - 2, function, 2) == 0 &&
           variable.name[function.size() + 1] == 'E';
  };
  if (!holds_variable(kernel_symbol_))  // else: of a function that was inlined, or is there beside the kernels
    for (const ElfSymbols::Symbol& function : symbols_.functions)
      if (holds_variable(function.name)) return true;
  own_.insert({kernel_symbol_, variable.start});
  return false;
}

bool AccessChecker::in_index_variable(const char* p) const {
  const auto within = [p](const auto& variable) {
    const char* const from = reinterpret_cast<const char*>(&variable);
    return p >= from && p < from + sizeof variable;
  };
  return within(threadIdx) || within(blockIdx) || within(blockDim) || within(gridDim);
}

// -- Sentences -------------------------------------------------------------------------------------------------------

void AccessChecker::tell(Finding finding, const char* what, const char* address, const void* code, const Event* other,
                         const char* other_did) {
  if (!told_.insert({finding, code}).second) return;                          // once per instruction
  const auto line = [](uint64_t offset) { return source_line(offset - 1); };  // of the call, not of what follows it
  std::string sentence = kernel_name(launch_->kernel) + ": " + what + ", of " + described(address) + ", by thread " +
                         thread_name(static_cast<unsigned>(running.thread)) + " of block " +
                         std::to_string(running.block) + " at " +
                         line(static_cast<uint64_t>(static_cast<const char*>(code) - symbols_.base));
  if (other)
    sentence += std::string("; ") + other_did + " by " +
                (other->moment < block_began_ ? "another block" : "thread " + thread_name(other->thread)) + " at " +
                line(other->code);
  report("%s", sentence.c_str());
}

std::string AccessChecker::thread_name(unsigned t) const {
  const dim3 size = launch_->block;
  return text_of("(%u, %u, %u)", t % size.x, t / size.x % size.y, t / size.x / size.y);
}

std::string AccessChecker::described(const char* p) {
  const auto offset_in = [p](const char* from) { return static_cast<size_t>(p - from); };
  if (const Shadow* const shadow = device_shadow(p))
    return text_of("byte %zu of a device allocation of %zu bytes", offset_in(shadow->start()), shadow->bytes());
  if (shared_.holds(p)) {
    const ElfSymbols::Symbol* const variable = ElfSymbols::find(symbols_.tls, offset_in(shared_.start()));
    if (!variable) return "shared memory outside of every variable";
    const std::string name = demangled(variable->name);
    const size_t scope = name.rfind("::");
    return text_of("byte %zu of shared %s (%zu bytes)", offset_in(shared_.start()) - variable->start,
                   name.substr(scope == name.npos ? 0 : scope + 2).c_str(), variable->bytes);
  }
  for (auto next = device_.upper_bound(p); next != device_.begin();) {  // just past an allocation?
    const Shadow& before = (--next)->second;
    const size_t past = offset_in(before.start() + before.bytes());
    if (past > 4096) break;
    return text_of("the byte %zu past the end of a device allocation of %zu bytes", past, before.bytes());
  }
  return text_of("address %p", static_cast<const void*>(p));
}

}  // namespace cuemu
