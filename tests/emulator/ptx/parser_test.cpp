// Modules: what is read, and what is refused with its line.
#include <doctest/doctest.h>

#include "errors.h"
#include "run_ptx.h"

namespace shear::ptx {

using shear::test::sentence;
using test::result_of;
using test::run_ptx;

namespace {

std::string refusal(const std::string& body) {
  return sentence(Fault::input, [&] { parse(".version 9.0\n.target sm_75\n" + body); });
}

}  // namespace

TEST_CASE("an instruction that is not known is named with its line") {
  CHECK(refusal(".entry k() {\n.reg .b32 %r<3>;\n\nmagic.sync.b32 %r0, %r1;\n}") ==
        "ptx line 6: the instruction magic.sync.b32 is not one that the interpreter knows");
  CHECK(refusal(".entry k() {\n.reg .f32 %f<3>;\nfma.rn.f32x2 %f0, %f1, %f1, %f1;\n}") ==
        "ptx line 5: the instruction fma.rn.f32x2 is not one that the interpreter knows");
  CHECK(refusal(".entry k() {\nbar.sync 3;\n}") ==
        "ptx line 4: the instruction bar.sync is not one that the interpreter knows");
}

TEST_CASE("text that is not understood is refused with its line") {
  CHECK(refusal(".texture t;") == "ptx line 3: .texture is not understood");
  CHECK(refusal(".entry k() {\nbra $nowhere;\n}") == "ptx line 4: there is no label $nowhere");
  CHECK(refusal(".entry k() {\nld.global.u32 %r0, [nothing];\n}") ==
        "ptx line 4: ld.global.u32 has an operand that is not understood, %r0");
  CHECK(refusal(".entry k() {\n.reg .b32 %r0;\nld.global.u32 %r0, [nothing];\n}") ==
        "ptx line 5: the address nothing names no register and no variable");
  CHECK(refusal(".entry k() {\n") == "ptx line 4: the text ends too early");
  CHECK(refusal(".visible .func f() { ret; }") ==
        "ptx line 3: a device function was not inlined, and the interpreter knows no calls");
}

TEST_CASE("a kernel's parameters lie at their alignment, and its limit of threads is read") {
  const Module m = parse(
      ".entry k(.param .u32 a, .param .u64 b, .param .align 16 .b8 c[20], .param .u8 d)\n.maxntid 32, 4, 1\n{ret;}");
  const Kernel& k = m.kernels.at("k");
  REQUIRE(k.parameters.size() == 4);
  CHECK(k.parameters[1].offset == 8);
  CHECK(k.parameters[2].offset == 16);
  CHECK(k.parameters[2].bytes == 20);
  CHECK(k.parameters[3].offset == 36);
  CHECK(k.parameter_bytes == 37);
  CHECK(k.most_threads == 128);
}

TEST_CASE("the alignment of what a parameter points to is not the parameter's own") {
  const Module m = parse(".entry k(.param .align 1 .b8 a[1], .param .u64 .ptr .global .align 1 b) {ret;}");
  CHECK(m.kernels.at("k").parameters[1].offset == 8);
  CHECK(refusal(".entry k(.param .u64 .global b) {ret;}") ==
        "ptx line 3: a declaration with .global is not understood");
}

TEST_CASE("constants of a module hold what they are given") {
  const std::string table = ".const .align 4 .u32 table[3] = {7, 8, 0x1f};\n.global .align 8 .b64 one = 77;\n";
  CHECK(run_ptx("ld.const.u32 %r1, [table+8]; cvt.u64.u32 %rd0, %r1;", {.declarations = table})[0] == 31);
  CHECK(run_ptx("mov.u64 %rd1, table; ld.global.u32 %r1, [%rd1+4]; cvt.u64.u32 %rd0, %r1;",
                {.declarations = table})[0] == 8);
  CHECK(run_ptx("ld.global.u64 %rd0, [one];", {.declarations = table})[0] == 77);
  CHECK(refusal(".const .u32 t[1] = {1, 2};") == "ptx line 3: t has too many values");
}

TEST_CASE("braces open a scope of registers") {
  CHECK(result_of("mov.u64 %rd0, 5; { .reg .b64 %rd0; mov.u64 %rd0, 9; } add.u64 %rd0, %rd0, 1;") == 6);
}

TEST_CASE("branches, guards and tables of branches go where they say") {
  CHECK(result_of("mov.u64 %rd0, 0; $again: add.u64 %rd0, %rd0, 3; setp.lt.u64 %p0, %rd0, 10; @%p0 bra $again;") == 12);
  CHECK(result_of("mov.u64 %rd0, 1; setp.eq.s32 %p0, 1, 1; @!%p0 mov.u64 %rd0, 2; @%p0 add.u64 %rd0, %rd0, 4;") == 5);
  const std::string jump =
      "table: .branchtargets $a, $b, $c; brx.idx %r1, table; $a: mov.u64 %rd0, 10; bra $end; $b: mov.u64 %rd0, 20;"
      "bra $end; $c: mov.u64 %rd0, 30; $end:";
  CHECK(result_of("mov.u32 %r1, 0;" + jump) == 10);
  CHECK(result_of("mov.u32 %r1, 2;" + jump) == 30);
  CHECK(sentence(Fault::device, [&] {
          result_of("mov.u32 %r1, 3;" + jump);
        }).ends_with("jumps to entry 3 of a table of 3"));
}

TEST_CASE("registers are taken apart and put together") {
  CHECK(result_of("mov.b64 %rd1, 0x1122334455667788; mov.b64 {%r1, %r2}, %rd1; mov.b64 %rd0, {%r2, %r1};") ==
        0x5566778811223344);
  CHECK(result_of("mov.b32 %r1, 0x11223344; mov.b32 {%rs1, _}, %r1; cvt.u64.u16 %rd0, %rs1;") == 0x3344);
}

TEST_CASE("a fault names the line of the CUDA source where the PTX has it, and of CUDA's own functions the caller's") {
  const Module m = parse(R"(.version 9.0
.entry k() {
.reg .b64 %rd<2>; .reg .b32 %r<2>;
.loc 1 42 3
mov.u64 %rd0, 64;
.loc 2 449 5, function_name $L__info_string0, inlined_at 1 43 7
ld.global.u32 %r0, [%rd0];
}
.file 1 "kernels/gelu.cu"
.file 2 "/usr/include/sm_30_intrinsics.hpp"
)");
  Memory memory(1024);
  CHECK(sentence(Fault::device, [&] { run({.module = m, .kernel = m.kernels.at("k"), .memory = memory}); }) ==
        "k at kernels/gelu.cu:43, ptx line 7 (ld.global.u32), thread (0, 0, 0) of block (0, 0, 0): reads 4 bytes "
        "outside the "
        "memory of the device, at 0x40");
}

}  // namespace shear::ptx
