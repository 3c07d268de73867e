// Threads of a block together: barriers, warps, memory, orders.
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "errors.h"
#include "run_ptx.h"

namespace shear::ptx {

using shear::test::sentence;
using test::run_ptx;
using test::Setup;

namespace {

constexpr Order orders[] = {Order::forward, Order::reverse, Order::random};

std::string fault_of(const std::string& instructions, const Setup& setup = {}) {
  const std::string all = sentence(Fault::device, [&] { run_ptx(instructions, setup); });
  return all.substr(all.find("): ") + 3);
}

// %r0: the thread; %rd0: its value as 64 bits.
const std::string thread = "mov.u32 %r0, %tid.x; ";

}  // namespace

TEST_CASE("what one thread writes to shared memory before a barrier another reads after it, in every order") {
  const std::string reversed = R"(.shared .align 8 .b8 all[512];
mov.u64 %rd1, all; mul.wide.u32 %rd2, %r0, 8; add.u64 %rd3, %rd1, %rd2; cvt.u64.u32 %rd4, %r0;
st.shared.u64 [%rd3], %rd4;
bar.sync 0;
sub.u64 %rd3, %rd1, %rd2; ld.shared.u64 %rd0, [%rd3+504];)";
  for (const Order order : orders) {
    const auto out = run_ptx(thread + reversed, {.threads = 64, .order = order});
    for (uint64_t i = 0; i < 64; ++i) CHECK(out[i] == 63 - i);
  }
}

TEST_CASE("without a barrier the order shows") {
  // Each thread puts its number into one word; the last one stays.
  const std::string race = R"(.shared .align 4 .b32 word;
st.shared.u32 [word], %r0; bar.sync 0; ld.shared.u32 %r1, [word]; cvt.u64.u32 %rd0, %r1;)";
  CHECK(run_ptx(thread + race, {.threads = 40})[0] == 39);
  CHECK(run_ptx(thread + race, {.threads = 40, .order = Order::reverse})[0] == 0);
}

TEST_CASE("blocks run in every order, each of them once") {
  for (const Order order : orders) {
    const auto out = run_ptx("mov.u32 %r1, %ctaid.x; cvt.u64.u32 %rd0, %r1;", {.order = order, .blocks = 13});
    for (uint64_t b = 0; b < 13; ++b) CHECK(out[b] == b);
  }
}

TEST_CASE("a barrier that some threads miss is a fault") {
  CHECK(fault_of(thread + "setp.lt.u32 %p0, %r0, 32; @%p0 bar.sync 0;", {.threads = 64}) ==
        "waits at a barrier, and some threads of the block have returned");
  const std::string divergent =
      "setp.lt.u32 %p0, %r0, 32; @%p0 bra $one; bar.sync 0; bra $end; $one: bar.sync 0; $end:";
  CHECK(fault_of(thread + divergent, {.threads = 64})
            .starts_with("waits at this barrier, and thread 32 at another, ptx line "));
}

TEST_CASE("a barrier counts, and joins, the predicates of all threads") {
  const std::string small = thread + "setp.lt.u32 %p0, %r0, 5; ";
  CHECK(run_ptx(small + "bar.red.popc.u32 %r1, 0, %p0; cvt.u64.u32 %rd0, %r1;", {.threads = 40})[39] == 5);
  CHECK(run_ptx(small + "bar.red.popc.u32 %r1, 0, !%p0; cvt.u64.u32 %rd0, %r1;", {.threads = 40})[0] == 35);
  CHECK(run_ptx(small + "bar.red.and.pred %p1, 0, %p0; selp.b64 %rd0, 1, 0, %p1;", {.threads = 40})[0] == 0);
  CHECK(run_ptx(small + "bar.red.or.pred %p1, 0, %p0; selp.b64 %rd0, 1, 0, %p1;", {.threads = 40})[39] == 1);
}

TEST_CASE("shuffles read the lane that they name, and their own where it is out of the segment") {
  const auto shuffled = [&](const std::string& form, const std::string& by, const std::string& c) {
    return run_ptx(thread + "shfl.sync." + form + ".b32 %r1|%p0, %r0, " + by + ", " + c +
                       ", -1; cvt.u64.u32 %rd0, %r1;" + "selp.b64 %rd1, 100, 0, %p0; add.u64 %rd0, %rd0, %rd1;",
                   {.threads = 32, .order = Order::random});
  };
  const auto butterfly = shuffled("bfly", "5", "31"), up = shuffled("up", "2", "0"), down = shuffled("down", "2", "31"),
             indexed = shuffled("idx", "7", "31"), eights = shuffled("down", "1", "0x181f");
  for (uint64_t lane = 0; lane < 32; ++lane) {
    CHECK(butterfly[lane] == 100 + (lane ^ 5));
    CHECK(up[lane] == (lane >= 2 ? 100 + lane - 2 : lane));
    CHECK(down[lane] == (lane < 30 ? 100 + lane + 2 : lane));
    CHECK(indexed[lane] == 107);
    CHECK(eights[lane] == (lane % 8 < 7 ? 100 + lane + 1 : lane));  // segments of eight lanes
  }
}

TEST_CASE("a shuffle needs the lanes of its mask, and the lane that it reads") {
  CHECK(fault_of(thread + "setp.lt.u32 %p0, %r0, 16; @%p0 shfl.sync.bfly.b32 %r1, %r0, 1, 31, -1;", {.threads = 32}) ==
        "waits for lanes of its warp that never come here");
  CHECK(fault_of(thread + "setp.lt.u32 %p0, %r0, 16; @%p0 shfl.sync.idx.b32 %r1, %r0, 20, 31, 0xffff;",
                 {.threads = 32}) == "shuffles from lane 20, which takes no part");
  CHECK(fault_of(thread + "shfl.sync.bfly.b32 %r1, %r0, 1, 31, 0xfffe;", {.threads = 32}) ==
        "the mask of lanes does not name its own lane");
}

TEST_CASE("votes, matches and reductions are over the lanes of the mask") {
  const std::string low = thread + "setp.lt.u32 %p0, %r0, 3; ";
  CHECK(run_ptx(low + "vote.sync.ballot.b32 %r1, %p0, -1; cvt.u64.u32 %rd0, %r1;", {.threads = 32})[31] == 7);
  CHECK(run_ptx(low + "vote.sync.any.pred %p1, %p0, -1; selp.b64 %rd0, 1, 0, %p1;", {.threads = 32})[31] == 1);
  CHECK(run_ptx(low + "vote.sync.all.pred %p1, %p0, -1; selp.b64 %rd0, 1, 0, %p1;", {.threads = 32})[0] == 0);
  CHECK(run_ptx(low + "vote.sync.all.pred %p1, %p0, -1; selp.b64 %rd0, 1, 0, %p1;", {.threads = 3})[0] == 1);
  CHECK(run_ptx(thread + "and.b32 %r1, %r0, 1; match.any.sync.b32 %r2, %r1, -1; cvt.u64.u32 %rd0, %r2;",
                {.threads = 32})[4] == 0x55555555);
  CHECK(run_ptx(thread + "redux.sync.add.s32 %r1, %r0, -1; cvt.u64.u32 %rd0, %r1;", {.threads = 32})[3] == 31 * 32 / 2);
  CHECK(run_ptx(thread + "neg.s32 %r0, %r0; redux.sync.min.s32 %r1, %r0, -1; cvt.s64.s32 %rd0, %r1;",
                {.threads = 32})[3] == static_cast<uint64_t>(-31));
}

TEST_CASE("atomic changes are not lost, and give what was there before") {
  const std::string sum = R"(.shared .align 4 .b32 total;
setp.eq.u32 %p0, %r0, 0; @%p0 st.shared.u32 [total], 0; bar.sync 0;
atom.shared.add.u32 %r1, [total], 2; bar.sync 0; ld.shared.u32 %r2, [total]; mov.b64 %rd0, {%r1, %r2};)";
  for (const Order order : orders) {
    const auto out = run_ptx(thread + sum, {.threads = 48, .order = order});
    std::vector<uint64_t> before;
    for (const uint64_t both : out) {
      CHECK((both >> 32) == 96);
      before.push_back(both & 0xffffffff);
    }
    std::sort(before.begin(), before.end());
    for (uint64_t i = 0; i < 48; ++i) CHECK(before[i] == 2 * i);
  }
  const auto changed = [&](const std::string& change) {
    return test::result_of("mov.u64 %rd1, 10; st.global.u64 [%rd10], %rd1; " + change +
                           " ld.global.u64 %rd0, [%rd10];");
  };
  CHECK(changed("red.global.max.s64 [%rd10], 12;") == 12);
  CHECK(changed("red.global.max.s64 [%rd10], -1;") == 10);
  CHECK(changed("red.global.min.u64 [%rd10], -1;") == 10);
  CHECK(changed("atom.global.cas.b64 %rd2, [%rd10], 10, 99;") == 99);
  CHECK(changed("atom.global.cas.b64 %rd2, [%rd10], 11, 99;") == 10);
  CHECK(changed("atom.global.exch.b64 %rd2, [%rd10], 5;") == 5);
  CHECK(changed("red.global.xor.b64 [%rd10], 3;") == 9);
  CHECK(changed("atom.global.inc.u32 %r2, [%rd10], 10;") == 0);
  CHECK(changed("atom.global.dec.u32 %r2, [%rd10], 20;") == 9);
}

TEST_CASE("an access out of bounds or off its alignment is a fault, of the very first byte") {
  CHECK(
      fault_of("ld.global.u64 %rd1, [%rd10+8];").starts_with("reads 8 bytes outside the memory of the device, at 0x"));
  CHECK(fault_of("st.global.u8 [%rd10-1], 0;").starts_with("writes 1 bytes outside the memory of the device, at 0x"));
  CHECK(fault_of("ld.global.u32 %r1, [%rd10+2];")
            .starts_with("reads 4 bytes at an address that is not a multiple of it, "));
  CHECK(fault_of("ld.global.v2.u64 {%rd1, %rd2}, [%rd10];").starts_with("reads 16 bytes outside"));
  CHECK(fault_of(".shared .align 4 .b8 s[8]; ld.shared.u32 %r1, [s+8];") ==
        "reads 4 bytes at 8 of 8 bytes of shared memory");
  CHECK(fault_of(".local .align 4 .b8 l[8]; st.local.u32 [l-4], 0;") ==
        "writes 4 bytes at 4294967292 of 8 bytes of local memory");
  CHECK(fault_of("ld.param.u32 %r1, [out+8];") == "reads 4 bytes at 8 of 8 bytes of parameters");
  CHECK(fault_of("trap;") == "traps");
}

TEST_CASE("dynamic shared memory begins where the static part ends, and ends where the launch says") {
  const std::string declarations = ".extern .shared .align 16 .b8 dyn_smem[];\n";
  const std::string body = ".shared .align 4 .b8 own[12]; mov.u32 %r1, dyn_smem; st.shared.u32 [own], 1; ";
  CHECK(run_ptx(body + "st.shared.u32 [%r1+12], 7; ld.shared.u32 %r2, [dyn_smem+12]; cvt.u64.u32 %rd0, %r2;",
                {.dynamic_bytes = 16, .declarations = declarations})[0] == 7);
  CHECK(fault_of(body + "st.shared.u32 [%r1+16], 7;", {.dynamic_bytes = 16, .declarations = declarations}) ==
        "writes 4 bytes at 144 of 144 bytes of shared memory");
}

TEST_CASE("shared memory that a module declares is a kernel's own where the kernel names it") {
  CHECK(run_ptx("st.shared.u32 [common+4], 3; ld.shared.u32 %r1, [common+4]; cvt.u64.u32 %rd0, %r1;",
                {.declarations = ".shared .align 4 .b8 common[8];\n"})[0] == 3);
}

TEST_CASE("an address of shared or local memory serves as an address of any memory") {
  const std::string kept =
      "cvta.shared.u64 %rd2, %rd1; st.u32 [%rd2], 9; isspacep.shared %p0, %rd2; ld.shared.u32 %r1, [%rd1];"
      "selp.b64 %rd0, 1, 0, %p0; cvt.u64.u32 %rd3, %r1; add.u64 %rd0, %rd0, %rd3;";
  CHECK(test::result_of(".shared .align 4 .b32 word; mov.u64 %rd1, word; " + kept) == 10);
  CHECK(test::result_of(".local .align 4 .b8 l[8]; mov.u64 %rd1, l; cvta.local.u64 %rd2, %rd1; st.u32 [%rd2+4], 9;"
                        "cvta.to.local.u64 %rd3, %rd2; ld.local.u32 %r1, [%rd3+4]; cvt.u64.u32 %rd0, %r1;") == 9);
}

TEST_CASE("what was never written reads as all ones") {
  CHECK(test::result_of("") == ~uint64_t{0});
  CHECK(test::result_of(".shared .align 8 .b64 s; ld.shared.u64 %rd0, [s];") == ~uint64_t{0});
  CHECK(test::result_of("ld.global.u64 %rd0, [%rd10];") == ~uint64_t{0});
}

TEST_CASE("signed loads fill the register with the sign, vectors load and store their parts") {
  CHECK(test::result_of("st.global.u32 [%rd10], 0x80ff; ld.global.s8 %rd0, [%rd10];") == ~uint64_t{0});
  CHECK(test::result_of("st.global.u32 [%rd10], 0x80ff; ld.global.u8 %rd0, [%rd10];") == 0xff);
  CHECK(test::result_of("st.global.v2.u32 [%rd10], {3, 4}; ld.global.v4.u16 {%rs0, %rs1, %rs2, %rs3}, [%rd10];"
                        "cvt.u64.u16 %rd0, %rs2;") == 4);
}

TEST_CASE("memory is given out within its limit, and given back once") {
  Memory memory(1000);
  void* p = memory.allocate(600);
  REQUIRE(p);
  CHECK(memory.allocate(401) == nullptr);
  CHECK(memory.used() == 600);
  const auto a = reinterpret_cast<uint64_t>(p);
  CHECK(memory.holds(a, 600));
  CHECK_FALSE(memory.holds(a, 601));
  CHECK_FALSE(memory.holds(a - 1, 1));
  CHECK_FALSE(memory.holds(a + 600, 1));
  CHECK_FALSE(memory.release(static_cast<char*>(p) + 1));
  CHECK(memory.release(p));
  CHECK_FALSE(memory.release(p));
  CHECK_FALSE(memory.holds(a, 1));
  CHECK(memory.used() == 0);
}

}  // namespace shear::ptx
