// The arena: where blocks land, what is merged, what is refused, and that only the sizes decide.
#include "shear/arena.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "allocation_counter.h"
#include "errors.h"
#include "shear/random.h"

using namespace shear;
using namespace shear::test;

namespace {

// An arena whose blocks are named by their offset in the slab.
class Slab {
 public:
  Slab(Allocator& upstream, size_t capacity, bool backed) : arena_(upstream, capacity, backed) {
    base_ = static_cast<char*>(arena_.allocate(1, Category::workspace));
    arena_.deallocate(base_, 1, Category::workspace);
  }
  size_t take(size_t bytes, Category c = Category::workspace) {
    return static_cast<size_t>(static_cast<char*>(arena_.allocate(bytes, c)) - base_);
  }
  void give(size_t offset, size_t bytes) { arena_.deallocate(base_ + offset, bytes, Category::workspace); }
  Arena& arena() { return arena_; }

 private:
  Arena arena_;
  char* base_ = nullptr;
};

struct Placed {
  size_t offset, bytes;
  bool operator==(const Placed&) const = default;
};

// A long made-up training: sizes and lives from a stream.  Returns where every block landed.
std::vector<Placed> live_through(Slab& slab, uint64_t seed, int events) {
  Stream stream(seed, Purpose::test);
  std::vector<Placed> live, all;
  for (int i = 0; i < events; ++i) {
    if (live.size() > 40 || (!live.empty() && stream.below(2) == 0)) {
      const size_t k = stream.below(static_cast<uint32_t>(live.size()));
      slab.give(live[k].offset, live[k].bytes);
      live.erase(live.begin() + static_cast<int64_t>(k));
    } else {
      const size_t bytes = 1 + stream.below(stream.below(4) == 0 ? 20000 : 600);
      const Placed p{slab.take(bytes, stream.below(3) == 0 ? Category::saved : Category::workspace), bytes};
      const auto apart = [&](const Placed& other) {
        return p.offset + aligned(bytes) <= other.offset || other.offset + aligned(other.bytes) <= p.offset;
      };
      REQUIRE(std::all_of(live.begin(), live.end(), apart));
      live.push_back(p);
      all.push_back(p);
    }
  }
  size_t bytes = 0;
  for (const Placed& p : live) bytes += aligned(p.bytes);
  CHECK(slab.arena().live() == bytes);
  for (const Placed& p : live) slab.give(p.offset, p.bytes);
  CHECK(slab.arena().live() == 0);
  return all;
}

}  // namespace

TEST_CASE("a block goes into the smallest hole that holds it, and into the lowest of equals") {
  HostAllocator host;
  Slab slab(host, 1 << 16, true);
  const size_t large = slab.take(512), wall1 = slab.take(64), small = slab.take(128), wall2 = slab.take(64);
  const size_t same = slab.take(128), wall3 = slab.take(64);
  slab.give(large, 512);
  slab.give(same, 128);
  slab.give(small, 128);
  CHECK(slab.take(100) == small);  // not the large hole before it; rounded up it fits exactly
  CHECK(slab.take(128) == same);
  CHECK(slab.take(256) == large);
  CHECK(slab.take(256) == large + 256);  // what was left of it
  CHECK(slab.take(64) == wall3 + 64);    // no hole: the top
  CHECK(wall1 == 512);
  CHECK(wall2 == 704);
}

TEST_CASE("neighbouring holes merge, in whatever order they come") {
  for (const std::vector<int>& order : {std::vector{0, 1, 2}, {2, 1, 0}, {0, 2, 1}, {1, 0, 2}}) {
    HostAllocator host;
    Slab slab(host, 1 << 16, true);
    const std::vector<size_t> at{slab.take(64), slab.take(128), slab.take(192)};
    slab.take(64);  // keeps the holes from the top
    for (const int i : order) slab.give(at[static_cast<size_t>(i)], 64u * static_cast<size_t>(i + 1));
    CHECK(slab.take(384) == 0);
  }
}

TEST_CASE("what is freed at the top lowers it, with the hole below") {
  HostAllocator host;
  Slab slab(host, 1 << 16, true);
  const size_t a = slab.take(64), b = slab.take(128), c = slab.take(64);
  slab.give(b, 128);
  slab.give(c, 64);
  CHECK(slab.take(4096) == a + 64);  // one block where b and c were
  CHECK(slab.arena().high_water() == 64 + 4096);
}

TEST_CASE("what sleeps grows from the slab's end, what works from its start, and neither leaves holes in the other") {
  HostAllocator host;
  Slab slab(host, 1 << 16, true);
  const size_t end = 1 << 16;
  const size_t work = slab.take(64), sleeps = slab.take(128, Category::saved), more = slab.take(192);
  CHECK(sleeps == end - 128);
  CHECK(more == work + 64);
  const size_t above = slab.take(64, Category::saved);
  CHECK(above == end - 192);
  slab.give(sleeps, 128);
  CHECK(slab.take(64) == more + 192);                       // not into the hole of what slept
  CHECK(slab.take(100, Category::saved) == end - 128);      // that is for what sleeps
  CHECK(slab.arena().high_water() == 64 + 192 + 64 + 192);  // of both ends at once
  slab.give(end - 128, 100);
  slab.give(above, 64);  // at its top, with the hole: as if nothing had slept
  CHECK(slab.take(256, Category::saved) == end - 256);
}

TEST_CASE("a slab is full where its ends meet, to the byte") {
  HostAllocator host;
  Slab slab(host, 1024, true);
  slab.take(512);
  CHECK(slab.take(448, Category::saved) == 576);
  CHECK(sentence(Fault::memory, [&] { slab.take(65, Category::saved); }) ==
        "out of memory: 128 bytes for saved do not fit into the step's slab of 1024 bytes, of which 960 are in use");
  CHECK(sentence(Fault::memory, [&] { slab.take(128); }).starts_with("out of memory: 128 bytes for workspace"));
  CHECK(slab.take(64) == 512);
  CHECK(slab.arena().live() == 1024);
}

TEST_CASE("every block is aligned, has at least a byte, and is no other's") {
  HostAllocator host;
  Slab slab(host, 1 << 16, true);
  const size_t a = slab.take(0), b = slab.take(1), c = slab.take(65), d = slab.take(64);
  CHECK(a == 0);
  CHECK(b == 64);
  CHECK(c == 128);
  CHECK(d == 256);
  CHECK(slab.arena().live() == 320);
  void* p = slab.arena().allocate(3, Category::saved);
  CHECK(reinterpret_cast<uintptr_t>(p) % alignment == 0);
}

TEST_CASE("the sizes alone decide where blocks land: addresses without memory predict the real ones") {
  for (const uint64_t seed : {1, 2, 3}) {
    HostAllocator host;
    ShapeAllocator shape;
    Slab real(host, 1 << 24, true), planned(shape, 1 << 24, false), again(host, 1 << 24, true);
    const std::vector<Placed> there = live_through(real, seed, 3000);
    CHECK(there == live_through(planned, seed, 3000));
    CHECK(there == live_through(again, seed, 3000));
    CHECK(real.arena().high_water() == planned.arena().high_water());
    CHECK(real.arena().high_water() > 0);
    CHECK(there == live_through(real, seed, 3000));  // and a second time in the same slab
    CHECK(real.arena().high_water() == planned.arena().high_water());
  }
}

TEST_CASE("a warm arena takes nothing from operator new") {
  HostAllocator host;
  Arena arena(host, 1 << 20);
  std::array<void*, 64> blocks{};
  const auto step = [&] {
    for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = arena.allocate(64 * (i % 7 + 1), Category::workspace);
    for (size_t i = 0; i < blocks.size(); i += 2) arena.deallocate(blocks[i], 64 * (i % 7 + 1), Category::workspace);
    for (size_t i = 1; i < blocks.size(); i += 2) arena.deallocate(blocks[i], 64 * (i % 7 + 1), Category::workspace);
  };
  step();
  const AllocationCounter counter;
  for (int i = 0; i < 10; ++i) step();
  CHECK(counter.count() == 0);
}

TEST_CASE("a block that does not fit is refused as a fault of memory, with the numbers, and nothing is lost") {
  HostAllocator host;
  Arena arena(host, 1000);  // rounded up to 1024
  CHECK(arena.capacity() == 1024);
  void* a = arena.allocate(512, Category::saved);
  CHECK(sentence(Fault::memory, [&] { arena.allocate(513, Category::saved); }) ==
        "out of memory: 576 bytes for saved do not fit into the step's slab of 1024 bytes, of which 512 are in use");
  CHECK(arena.live() == 512);
  void* b = arena.allocate(512, Category::workspace);  // exactly what is left
  CHECK(sentence(Fault::memory, [&] { arena.allocate(1, Category::workspace); }).find("1024 are in use") !=
        std::string::npos);
  arena.deallocate(a, 512, Category::saved);
  CHECK(arena.allocate(512, Category::saved) == a);
  arena.deallocate(b, 512, Category::workspace);
}

TEST_CASE("a slab that nobody planned is asked for when it is first used, and is halved where it is refused") {
  HostAllocator host;
  Limit limit(host, 1000);
  size_t left = 1 << 20;
  Arena arena(limit, [&] { return left; });
  CHECK(arena.capacity() == 0);
  left = 5000;  // what is left now counts, not what was left when the arena was made
  void* a = arena.allocate(100, Category::workspace);
  CHECK(arena.capacity() == 576);  // 4992, 2496, 1216 and 576 are halves in whole lines
  arena.deallocate(a, 100, Category::workspace);

  Arena large(limit, [&] { return left; });
  CHECK(sentence(Fault::memory, [&] { large.allocate(800, Category::workspace); }) ==
        "out of memory: 832 bytes for workspace on top of 576 pass the limit of 1000 bytes");
  CHECK(large.allocate(300, Category::saved) != nullptr);  // of 312 none is left after the lines, so the block itself
  CHECK(large.capacity() == 320);
}

TEST_CASE("the high-water mark stays when blocks go, and starts anew when asked") {
  HostAllocator host;
  Slab slab(host, 1 << 16, true);
  const size_t a = slab.take(256), b = slab.take(1024);
  slab.give(b, 1024);
  CHECK(slab.arena().high_water() == 1280);
  slab.arena().restart_high_water();
  CHECK(slab.arena().high_water() == 256);
  slab.give(a, 256);
}
