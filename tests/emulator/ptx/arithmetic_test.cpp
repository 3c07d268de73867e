// Single instructions against what the PTX manual says of them.
#include <doctest/doctest.h>

#include <limits>

#include "run_ptx.h"

namespace shear::ptx {

using test::result_of;

namespace {

constexpr uint64_t low32 = 0xffffffffu;
uint64_t of_float(float x) { return to_bits(x); }

// The instruction's result in a 32-bit register.
uint64_t in32(const std::string& instructions) { return result_of(instructions + " cvt.u64.u32 %rd0, %r0;") & low32; }
float in_f32(const std::string& instructions) {
  return from_bits<float>(result_of(instructions + " mov.b32 %r0, %f0; cvt.u64.u32 %rd0, %r0;"));
}
double in_f64(const std::string& instructions) {
  return from_bits<double>(result_of(instructions + " mov.b64 %rd0, %fd0;"));
}
std::string hex(float x) {
  char word[16];
  std::snprintf(word, sizeof word, "0f%08X", static_cast<unsigned>(of_float(x)));
  return word;
}

}  // namespace

TEST_CASE("whole numbers wrap, and their products have a low half, a high half and a whole") {
  CHECK(in32("mov.u32 %r1, 0xffffffff; add.s32 %r0, %r1, 2;") == 1);
  CHECK(in32("mov.u32 %r1, 1; sub.u32 %r0, %r1, 2;") == low32);
  CHECK(in32("mov.u32 %r1, -3; mul.lo.s32 %r0, %r1, 5;") == (low32 & static_cast<uint64_t>(-15)));
  CHECK(in32("mov.u32 %r1, 0x80000000; mul.hi.u32 %r0, %r1, 6;") == 3);
  CHECK(in32("mov.u32 %r1, 0x80000000; mul.hi.s32 %r0, %r1, 6;") == (low32 & static_cast<uint64_t>(-3)));
  CHECK(in32("mov.u32 %r1, 7; mov.u32 %r2, -2; mad.lo.s32 %r0, %r1, %r2, 20;") == 6);
  CHECK(in32("add.sat.s32 %r0, 2147483647, 1;") == 0x7fffffff);
  CHECK(result_of("mov.u32 %r1, -3; mul.wide.s32 %rd0, %r1, 5;") == static_cast<uint64_t>(-15));
  CHECK(result_of("mov.u32 %r1, -3; mul.wide.u32 %rd0, %r1, 5;") == 5 * uint64_t{0xfffffffd});
  CHECK(result_of("mov.u64 %rd1, 1000; mad.wide.u32 %rd0, 3000000000, 4, %rd1;") == 12000001000);
  CHECK(result_of("mov.u64 %rd1, 0xffffffffffffffff; mul.hi.u64 %rd0, %rd1, %rd1;") == 0xfffffffffffffffe);
  CHECK(result_of("mov.u64 %rd1, -1; mul.hi.s64 %rd0, %rd1, %rd1;") == 0);
}

TEST_CASE("division of whole numbers rounds towards zero, and has an answer at its edges") {
  CHECK(in32("div.s32 %r0, -7, 2;") == (low32 & static_cast<uint64_t>(-3)));
  CHECK(in32("rem.s32 %r0, -7, 2;") == low32);
  CHECK(in32("div.u32 %r0, 0xfffffff9, 2;") == 0x7ffffffc);
  CHECK(in32("div.s32 %r0, 0x80000000, -1;") == 0x80000000);
  CHECK(in32("rem.s32 %r0, 0x80000000, -1;") == 0);
  CHECK(in32("div.u32 %r0, 5, 0;") == low32);
  CHECK(in32("rem.u32 %r0, 5, 0;") == 5);
}

TEST_CASE("a carry passes from the low words of a sum to the high ones, and so does a borrow") {
  const auto sum = [](uint64_t a, uint64_t b, const char* op) {
    const auto word = [](uint64_t x) { return std::to_string(static_cast<uint32_t>(x)); };
    return result_of(text(op, ".cc.u32 %r1, ", word(a), ", ", word(b), "; ", op, "c.u32 %r2, ", word(a >> 32), ", ",
                          word(b >> 32), "; mov.b64 %rd0, {%r1, %r2};"));
  };
  CHECK(sum(0xffffffff, 1, "add") == 0x100000000);
  CHECK(sum(0x1234567890abcdef, 0xfedcba0987654321, "add") == 0x1234567890abcdef + 0xfedcba0987654321);
  CHECK(sum(0x100000000, 1, "sub") == 0xffffffff);
  CHECK(sum(5, 7, "sub") == static_cast<uint64_t>(-2));
  CHECK(result_of(
            "mad.lo.cc.u32 %r1, 0xffffffff, 1, 5; madc.hi.u32 %r2, 0xffffffff, 0x10, 3; mov.b64 %rd0, {%r1, %r2};") ==
        (uint64_t{0xf + 3 + 1} << 32 | 4));
}

TEST_CASE("shifts past the width leave nothing, or the sign") {
  CHECK(in32("mov.u32 %r1, 1; shl.b32 %r0, %r1, 31;") == 0x80000000);
  CHECK(in32("mov.u32 %r1, 1; shl.b32 %r0, %r1, 32;") == 0);
  CHECK(in32("mov.u32 %r1, -8; shr.s32 %r0, %r1, 1;") == (low32 & static_cast<uint64_t>(-4)));
  CHECK(in32("mov.u32 %r1, -8; shr.s32 %r0, %r1, 99;") == low32);
  CHECK(in32("mov.u32 %r1, -8; shr.u32 %r0, %r1, 28;") == 15);
  CHECK(in32("shf.l.wrap.b32 %r0, 0x80000001, 0x00000001, 33;") == 3);
  CHECK(in32("shf.l.clamp.b32 %r0, 0x80000001, 0x00000001, 33;") == 0x80000001);
  CHECK(in32("shf.r.wrap.b32 %r0, 0x80000001, 0x00000001, 1;") == 0xc0000000);
}

TEST_CASE("fields, counts and permutations of bits") {
  CHECK(in32("bfe.u32 %r0, 0x12345678, 8, 12;") == 0x456);
  CHECK(in32("bfe.s32 %r0, 0x00000f00, 8, 4;") == low32);
  CHECK(in32("bfe.s32 %r0, 0x80000000, 28, 20;") == 0xfffffff8);
  CHECK(in32("bfi.b32 %r0, 0xabc, 0xffffffff, 4, 8;") == 0xfffffbcf);
  CHECK(in32("bfind.u32 %r0, 0x00010000;") == 16);
  CHECK(in32("bfind.s32 %r0, -2;") == 0);
  CHECK(in32("bfind.u32 %r0, 0;") == low32);
  CHECK(in32("bfind.shiftamt.u32 %r0, 0x00010000;") == 15);
  CHECK(in32("brev.b32 %r0, 0x00000003;") == 0xc0000000);
  CHECK(in32("popc.b32 %r0, 0xf00f0001;") == 9);
  CHECK(in32("clz.b32 %r0, 0x00010000;") == 15);
  CHECK(in32("clz.b32 %r0, 0;") == 32);
  CHECK(in32("prmt.b32 %r0, 0x33221100, 0x77665544, 0x0426;") == 0x00442266);
  CHECK(in32("prmt.b32 %r0, 0x332211f0, 0x77665544, 0x8888;") == low32);
  CHECK(in32("mov.u32 %r1, 0xf0; mov.u32 %r2, 0xcc; mov.u32 %r3, 0xaa; lop3.b32 %r0, %r1, %r2, %r3, 0xe8;") == 0xe8);
  CHECK(in32("not.b32 %r0, 0xf;") == 0xfffffff0);
  CHECK(result_of("bfi.b64 %rd0, 5, 0, 60, 4;") == uint64_t{5} << 60);
}

TEST_CASE("floats are rounded as the instruction says") {
  const std::string one = hex(1), tiny = hex(0x1p-30f),
                    third = "mov.f32 %f1, " + hex(1) + "; mov.f32 %f2, " + hex(3) + ";";
  CHECK(in_f32("add.rn.f32 %f0, " + one + ", " + tiny + ";") == 1);
  CHECK(in_f32("add.rp.f32 %f0, " + one + ", " + tiny + ";") == std::nextafter(1.f, 2.f));
  CHECK(in_f32("add.rm.f32 %f0, " + one + ", " + hex(-0x1p-30f) + ";") == std::nextafter(1.f, 0.f));
  CHECK(in_f32("add.rz.f32 %f0, " + one + ", " + hex(-0x1p-30f) + ";") == std::nextafter(1.f, 0.f));
  CHECK(in_f32(third + "div.rn.f32 %f0, %f1, %f2;") == 1.f / 3);
  CHECK(in_f32(third + "div.rp.f32 %f0, %f1, %f2;") >= 1.0 / 3);
  // 1 - (1 + 2^-12)(1 - 2^-12) = 2^-24: a fused multiply-add alone has it.
  CHECK(in_f32("fma.rn.f32 %f0, " + hex(1 + 0x1p-12f) + ", " + hex(-1 + 0x1p-12f) + ", " + one + ";") == 0x1p-24f);
  CHECK(in_f64("mov.f64 %fd1, 0d3FF0000000000000; add.rp.f64 %fd0, %fd1, 0d3B00000000000000;") > 1);
}

TEST_CASE("what is smaller than a normal float is flushed where .ftz says so, and .sat keeps to [0, 1]") {
  const std::string small = hex(std::numeric_limits<float>::denorm_min() * 100);
  CHECK(in_f32("add.f32 %f0, " + small + ", 0f00000000;") > 0);
  CHECK(in_f32("add.ftz.f32 %f0, " + small + ", 0f00000000;") == 0);
  CHECK(in_f32("add.sat.f32 %f0, " + hex(0.75f) + ", " + hex(0.5f) + ";") == 1);
  CHECK(in_f32("add.sat.f32 %f0, " + hex(-0.75f) + ", " + hex(0.5f) + ";") == 0);
  CHECK(in_f32("add.sat.f32 %f0, 0f7FC00000, 0f00000000;") == 0);
}

TEST_CASE("a nan loses against a number in min and max, unless .NaN is asked for, and -0 is below 0") {
  const std::string nan = "0f7FC00000", one = hex(1), zero = hex(0.f), minus = hex(-0.f);
  CHECK(in_f32("min.f32 %f0, " + nan + ", " + one + ";") == 1);
  CHECK(in_f32("max.f32 %f0, " + one + ", " + nan + ";") == 1);
  CHECK(std::isnan(in_f32("max.NaN.f32 %f0, " + one + ", " + nan + ";")));
  CHECK(std::isnan(in_f32("max.f32 %f0, " + nan + ", " + nan + ";")));
  CHECK(std::signbit(in_f32("min.f32 %f0, " + zero + ", " + minus + ";")));
  CHECK(!std::signbit(in_f32("max.f32 %f0, " + minus + ", " + zero + ";")));
  CHECK(in_f32("max.f32 %f0, " + one + ", " + hex(3) + ", " + hex(2) + ";") == 3);
  CHECK(in_f32("copysign.f32 %f0, " + hex(-2) + ", " + hex(3) + ";") == -3);
}

TEST_CASE("comparisons know nan, and join with a predicate") {
  const auto holds = [](const std::string& comparison) {
    return result_of(comparison + " selp.b64 %rd0, 1, 0, %p0;") == 1;
  };
  const std::string nan = "0f7FC00000", one = hex(1), two = hex(2);
  CHECK(holds("setp.lt.f32 %p0, " + one + ", " + two + ";"));
  CHECK_FALSE(holds("setp.lt.f32 %p0, " + nan + ", " + two + ";"));
  CHECK(holds("setp.ltu.f32 %p0, " + nan + ", " + two + ";"));
  CHECK_FALSE(holds("setp.ne.f32 %p0, " + nan + ", " + nan + ";"));
  CHECK(holds("setp.neu.f32 %p0, " + nan + ", " + nan + ";"));
  CHECK(holds("setp.num.f32 %p0, " + one + ", " + two + ";"));
  CHECK(holds("setp.nan.f32 %p0, " + one + ", " + nan + ";"));
  CHECK(holds("setp.lt.s32 %p0, -1, 1;"));
  CHECK_FALSE(holds("setp.lt.u32 %p0, -1, 1;"));
  CHECK(holds("setp.hi.u32 %p0, -1, 1;"));
  CHECK(holds("setp.eq.s32 %p1, 1, 1; setp.lt.and.s32 %p0, 1, 2, %p1;"));
  CHECK_FALSE(holds("setp.eq.s32 %p1, 1, 1; setp.lt.and.s32 %p0, 1, 2, !%p1;"));
  CHECK_FALSE(holds("setp.eq.s32 %p2|%p0, 1, 1;"));
  CHECK(holds("setp.eq.s32 %p1, 1, 2; setp.eq.s32 %p2, 1, 1; xor.pred %p0, %p1, %p2;"));
}

TEST_CASE("a float becomes a whole number rounded as said, and at the limit where it does not fit") {
  CHECK(in32("cvt.rni.s32.f32 %r0, " + hex(2.5f) + ";") == 2);
  CHECK(in32("cvt.rzi.s32.f32 %r0, " + hex(-2.9f) + ";") == (low32 & static_cast<uint64_t>(-2)));
  CHECK(in32("cvt.rmi.s32.f32 %r0, " + hex(-2.1f) + ";") == (low32 & static_cast<uint64_t>(-3)));
  CHECK(in32("cvt.rpi.u32.f32 %r0, " + hex(2.1f) + ";") == 3);
  CHECK(in32("cvt.rzi.s32.f32 %r0, " + hex(1e20f) + ";") == 0x7fffffff);
  CHECK(in32("cvt.rzi.u32.f32 %r0, " + hex(-5) + ";") == 0);
  CHECK(in32("cvt.rzi.s32.f32 %r0, 0f7FC00000;") == 0);
  CHECK(result_of("cvt.rzi.s64.f32 %rd0, 0f7FC00000;") == uint64_t{1} << 63);
  CHECK(in_f32("cvt.rni.f32.f32 %f0, " + hex(-2.5f) + ";") == -2);
  CHECK(in_f32("mov.u32 %r1, 16777217; cvt.rn.f32.u32 %f0, %r1;") == 16777216);
  CHECK(in_f32("mov.u32 %r1, 16777217; cvt.rp.f32.u32 %f0, %r1;") == 16777218);
  CHECK(in_f32("mov.f64 %fd1, 0d3FF0000010000000; cvt.rn.f32.f64 %f0, %fd1;") == 1);
  CHECK(in_f32("mov.f64 %fd1, 0d3FF0000010000000; cvt.rp.f32.f64 %f0, %fd1;") == std::nextafter(1.f, 2.f));
}

TEST_CASE("whole numbers of other widths keep their sign or lose their high bits") {
  CHECK(result_of("mov.u32 %r1, -5; cvt.s64.s32 %rd0, %r1;") == static_cast<uint64_t>(-5));
  CHECK(result_of("mov.u32 %r1, -5; cvt.u64.u32 %rd0, %r1;") == 0xfffffffb);
  CHECK(in32("mov.u32 %r1, 0x1ff; cvt.u32.u8 %r0, %r1;") == 0xff);
  CHECK(in32("mov.u32 %r1, 0x1ff; cvt.s32.s8 %r0, %r1;") == low32);
  CHECK(in32("mov.u32 %r1, 300; cvt.sat.u8.u32 %r0, %r1;") == 255);
}

TEST_CASE("every f16 and bf16 survives its way to a wider float and back, and what lies between rounds to even") {
  int wrong = 0;
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const auto h = static_cast<uint16_t>(bits);
    if (!std::isnan(widen(Half{h}))) wrong += narrow<5>(widen(Half{h})).bits != h;
    if (!std::isnan(widen(BFloat{h}))) wrong += narrow<8>(widen(BFloat{h})).bits != h;
    if (!std::isnan(widen(BFloat{h}))) wrong += from_bits<float>(bits << 16) != static_cast<float>(widen(BFloat{h}));
  }
  CHECK(wrong == 0);
  CHECK(widen(Half{0x3c00}) == 1);
  CHECK(widen(Half{0x0001}) == 0x1p-24);
  CHECK(widen(Half{0x7bff}) == 65504);
  CHECK(narrow<5>(1 + 0x1p-11).bits == 0x3c00);
  CHECK(narrow<5>(1 + 3 * 0x1p-11).bits == 0x3c02);
  CHECK(narrow<5>(65519.9).bits == 0x7bff);
  CHECK(narrow<5>(65520).bits == 0x7c00);
  CHECK(narrow<5>(-1e9).bits == 0xfc00);
  CHECK(narrow<5>(0x1p-25).bits == 0);
  CHECK(narrow<5>(0x1.8p-25).bits == 1);
  CHECK(narrow<8>(1 + 0x1p-8).bits == 0x3f80);
  CHECK(narrow<8>(1 + 3 * 0x1p-8).bits == 0x3f82);
}

TEST_CASE("arithmetic on f16, on pairs of it, and conversions into a pair") {
  const auto in16 = [](const std::string& s) { return result_of(s + " cvt.u64.u16 %rd0, %rs0;"); };
  CHECK(in16("mov.b16 %rs1, 0x3c00; add.f16 %rs0, %rs1, %rs1;") == 0x4000);
  CHECK(in16("cvt.rn.f16.f32 %rs0, " + hex(1.5f) + ";") == 0x3e00);
  CHECK(in16("cvt.rz.f16.f32 %rs0, " + hex(70000.f) + ";") == 0x7bff);
  CHECK(in16("cvt.rn.bf16.f32 %rs0, " + hex(1.5f) + ";") == 0x3fc0);
  CHECK(in_f32("mov.b16 %rs1, 0xc000; cvt.f32.f16 %f0, %rs1;") == -2);
  CHECK(in32("cvt.rn.f16x2.f32 %r0, " + hex(2) + ", " + hex(1) + ";") == 0x40003c00);
  CHECK(in32("mov.b32 %r1, 0x40003c00; fma.rn.f16x2 %r0, %r1, %r1, %r1;") == 0x46004000);
}

TEST_CASE("approximations are close, and exact where they must be") {
  CHECK(in_f32("ex2.approx.ftz.f32 %f0, " + hex(5) + ";") == 32);
  CHECK(in_f32("lg2.approx.f32 %f0, " + hex(32) + ";") == 5);
  CHECK(in_f32("rsqrt.approx.f32 %f0, " + hex(16) + ";") == 0.25f);
  CHECK(in_f32("rcp.approx.ftz.f32 %f0, " + hex(8) + ";") == 0.125f);
  CHECK(in_f32("sqrt.rn.f32 %f0, " + hex(2) + ";") == std::sqrt(2.f));
  CHECK(in_f32("tanh.approx.f32 %f0, " + hex(0.5f) + ";") == doctest::Approx(std::tanh(0.5)));
}

}  // namespace shear::ptx
