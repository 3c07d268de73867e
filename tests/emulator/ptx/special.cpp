// The registers that hold what a thread may know of its place.
#include <algorithm>

#include "block.h"

namespace shear::ptx {

namespace {

struct Special {
  std::string_view name;
  uint64_t (*value)(const Block&, const Thread&);
};

uint32_t lane(const Thread& t) { return t.index & 31; }
uint32_t up_to(const Thread& t) { return static_cast<uint32_t>((uint64_t{2} << lane(t)) - 1); }  // and with its own
uint64_t clock(const Block& b, const Thread&) { return b.executed; }

constexpr Special specials[] = {
    {"%tid.x", [](const Block&, const Thread& t) -> uint64_t { return t.at.x; }},
    {"%tid.y", [](const Block&, const Thread& t) -> uint64_t { return t.at.y; }},
    {"%tid.z", [](const Block&, const Thread& t) -> uint64_t { return t.at.z; }},
    {"%ntid.x", [](const Block& b, const Thread&) -> uint64_t { return b.launch.block.x; }},
    {"%ntid.y", [](const Block& b, const Thread&) -> uint64_t { return b.launch.block.y; }},
    {"%ntid.z", [](const Block& b, const Thread&) -> uint64_t { return b.launch.block.z; }},
    {"%ctaid.x", [](const Block& b, const Thread&) -> uint64_t { return b.at.x; }},
    {"%ctaid.y", [](const Block& b, const Thread&) -> uint64_t { return b.at.y; }},
    {"%ctaid.z", [](const Block& b, const Thread&) -> uint64_t { return b.at.z; }},
    {"%nctaid.x", [](const Block& b, const Thread&) -> uint64_t { return b.launch.grid.x; }},
    {"%nctaid.y", [](const Block& b, const Thread&) -> uint64_t { return b.launch.grid.y; }},
    {"%nctaid.z", [](const Block& b, const Thread&) -> uint64_t { return b.launch.grid.z; }},
    {"%laneid", [](const Block&, const Thread& t) -> uint64_t { return lane(t); }},
    {"%lanemask_eq", [](const Block&, const Thread& t) -> uint64_t { return 1u << lane(t); }},
    {"%lanemask_lt", [](const Block&, const Thread& t) -> uint64_t { return up_to(t) >> 1; }},
    {"%lanemask_le", [](const Block&, const Thread& t) -> uint64_t { return up_to(t); }},
    {"%lanemask_gt", [](const Block&, const Thread& t) -> uint64_t { return ~up_to(t); }},
    {"%lanemask_ge", [](const Block&, const Thread& t) -> uint64_t { return ~(up_to(t) >> 1); }},
    {"%clock", clock},
    {"%clock64", clock},
};

}  // namespace

int special_register(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(specials), std::end(specials), [&](const Special& s) { return s.name == name; });
  return found == std::end(specials) ? -1 : static_cast<int>(found - specials);
}

uint64_t special_value(uint64_t number, const Block& block, const Thread& thread) {
  return specials[number].value(block, thread);
}

}  // namespace shear::ptx
