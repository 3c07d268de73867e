// For tests: runs instructions that leave their result in %rd0.
#pragma once
#include <string>
#include <vector>

#include "block.h"

namespace shear::ptx::test {

struct Setup {
  unsigned threads = 1;
  size_t dynamic_bytes = 0;
  Order order = Order::forward;
  std::string declarations = {};  // at the top of the module
  unsigned blocks = 1;
};

// %rd0 of each thread at the end, block by block.  There are registers %p0 ... 7, %rs0 ... 7, %r0 ... 15, %f0 ... 7,
// %rd0 ... 13, %fd0 ... 7; %rd10 holds the address of 8 * threads * blocks bytes of global memory, whose value at the
// end is returned, and %rd11 that of the thread's own 8 of them.
inline std::vector<uint64_t> run_ptx(const std::string& instructions, const Setup& setup = {}) {
  const std::string module_text = ".version 9.0\n.target sm_75\n.address_size 64\n" + setup.declarations + R"(
.visible .entry test(.param .u64 out) {
.reg .pred %p<8>; .reg .b16 %rs<8>; .reg .b32 %r<18>; .reg .f32 %f<8>; .reg .b64 %rd<14>; .reg .f64 %fd<8>;
ld.param.u64 %rd10, [out];
mov.u32 %r16, %tid.x; mov.u32 %r17, %ctaid.x; mad.lo.u32 %r16, %r17, )" +
                                  std::to_string(setup.threads) + R"(, %r16;
mad.wide.u32 %rd11, %r16, 8, %rd10;
)" + instructions + R"(
st.global.u64 [%rd11], %rd0;
ret;
}
)";
  const Module module = parse(module_text);
  Memory memory(1 << 20);
  const size_t n = size_t{setup.threads} * setup.blocks;
  auto* out = static_cast<uint64_t*>(memory.allocate(8 * n));
  const auto address = reinterpret_cast<uint64_t>(out);
  run({.module = module,
       .kernel = module.kernels.at("test"),
       .memory = memory,
       .grid = {setup.blocks, 1, 1},
       .block = {setup.threads, 1, 1},
       .dynamic_bytes = setup.dynamic_bytes,
       .parameters = reinterpret_cast<const uint8_t*>(&address),
       .order = setup.order});
  return {out, out + n};
}

inline uint64_t result_of(const std::string& instructions) { return run_ptx(instructions).at(0); }

}  // namespace shear::ptx::test
