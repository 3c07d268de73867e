// Instructions that the lanes of a warp do together: each waits until all lanes of its mask are at the same one.
#include <bit>

#include "table.h"

namespace shear::ptx {

namespace {

constexpr uint32_t lanes = 32;

struct Warp {
  Block& block;
  const Instruction& ins;
  uint32_t base, mask;

  bool takes_part(uint32_t lane) const { return mask >> lane & 1; }
  Step step(uint32_t lane) const { return {block, block.threads[base + lane], ins}; }
  template <class F>
  void each(F f) const {
    for (uint32_t lane = 0; lane < lanes; ++lane)
      if (takes_part(lane)) f(lane, step(lane));
  }
};
using Together = void (*)(const Warp&);

// shfl.sync.bfly.b32 d|p, a, b, c, mask: c holds the limit of a segment, and the mask that cuts the warp into segments
// (section 9.7.9.6).
void shuffle(const Warp& w) {
  uint64_t values[lanes] = {};
  w.each([&](uint32_t lane, const Step& s) { values[lane] = s.raw(1); });
  const bool up = w.ins.has("up"), down = w.ins.has("down"), butterfly = w.ins.has("bfly");
  w.each([&](uint32_t lane, const Step& s) {
    const uint32_t by = s.in<uint32_t>(2) & 31, c = s.in<uint32_t>(3), limit = c & 31, segment = c >> 8 & 31;
    const auto first = static_cast<int>(lane & segment), last = static_cast<int>((lane & segment) | (limit & ~segment));
    const int own = static_cast<int>(lane), distance = static_cast<int>(by);
    const int from = up          ? own - distance
                     : down      ? own + distance
                     : butterfly ? own ^ distance
                                 : first | static_cast<int>(by & ~segment);
    const bool inside = up ? from >= last : from <= last;
    const int source = inside ? from : own;
    if (!w.takes_part(static_cast<uint32_t>(source)))
      s.fault(text("shuffles from lane ", source, ", which takes no part"));
    s.set(0, values[source]);
    if (w.ins.operands[0].second >= 0) s.thread.registers[w.ins.operands[0].second] = inside;
  });
}

// vote.sync.ballot.b32 d, p, mask
void vote(const Warp& w) {
  uint32_t set = 0;
  w.each([&](uint32_t lane, const Step& s) { set |= uint32_t{s.predicate(1)} << lane; });
  const uint64_t result = w.ins.has("ballot") ? set
                          : w.ins.has("all")  ? set == w.mask
                          : w.ins.has("any")  ? set != 0
                                              : set == 0 || set == w.mask;
  w.each([&](uint32_t, const Step& s) { s.set(0, result); });
}

// match.any.sync.b32 d, a, mask: the lanes with the same value.
void match(const Warp& w) {
  const uint64_t width = size_of(w.ins.type) == 8 ? ~uint64_t{0} : 0xffffffffu;
  uint64_t values[lanes] = {};
  w.each([&](uint32_t lane, const Step& s) { values[lane] = s.raw(1) & width; });
  w.each([&](uint32_t lane, const Step& s) {
    uint32_t same = 0;
    w.each([&](uint32_t other, const Step&) { same |= uint32_t{values[other] == values[lane]} << other; });
    s.set(0, same);
  });
}

// redux.sync.add.s32 d, a, mask
void reduce(const Warp& w) {
  const bool with_sign = is_signed(w.ins.type);
  const auto combine = [&](int64_t x, int64_t y) {
    if (w.ins.has("add")) return x + y;
    if (w.ins.has("min")) return std::min(x, y);
    if (w.ins.has("max")) return std::max(x, y);
    if (w.ins.has("and")) return x & y;
    return w.ins.has("or") ? x | y : x ^ y;
  };
  bool first = true;
  int64_t all = 0;
  w.each([&](uint32_t, const Step& s) {
    const int64_t x = with_sign ? s.in<int32_t>(1) : int64_t{s.in<uint32_t>(1)};
    all = first ? x : combine(all, x);
    first = false;
  });
  w.each([&](uint32_t, const Step& s) { s.set(0, static_cast<uint32_t>(all)); });
}

void meet(const Warp&) {}  // bar.warp.sync mask

struct Known {
  std::string_view name;
  Together together;
};
constexpr Known known[] = {{"shfl", shuffle}, {"vote", vote}, {"match", match}, {"redux", reduce}, {"bar", meet}};

// The mask is the last operand.
void wait(const Step& s) {
  s.thread.mask = s.in<uint32_t>(s.ins.operands_used - 1);
  s.thread.state = State::warp;
}

}  // namespace

Handler decode_warp(Instruction& i) {
  if (!i.has("sync") || (i.name() == "bar" && !i.has("warp")) || (i.name() == "match" && !i.has("any"))) return nullptr;
  if (i.name() == "redux" && is_float(i.type)) return nullptr;
  for (size_t k = 0; k < std::size(known); ++k)
    if (known[k].name == i.name()) {
      i.variant = static_cast<int>(k);
      return wait;
    }
  return nullptr;
}

void complete_warp(Block& block, const Instruction& i, uint32_t base, uint32_t mask) {
  const Warp warp{block, i, base, mask};
  known[static_cast<size_t>(i.variant)].together(warp);
  warp.each([](uint32_t, const Step& s) { s.thread.state = State::running; });
}

}  // namespace shear::ptx
