// What the fragments of mma.h ask of the emulation.
#include "emulation.h"
#include "mma.h"

namespace cuemu {

void wmma_access(const void* p, size_t bytes, bool written) {
  if (checker) checker->touched(p, bytes, written, __builtin_return_address(0));
}

void wmma_check(const void* const* addresses, const void* mine, size_t leading_bytes, Site site) {
  for (int lane = 0; lane < 32; ++lane)
    if (addresses[lane] != mine) {
      report("%s: the lanes of a warp give different addresses of a matrix", place(site).c_str());
      break;
    }
  if (reinterpret_cast<uintptr_t>(mine) % 32 != 0)
    report("%s: the address of a matrix is not a multiple of 32 bytes", place(site).c_str());
  if (leading_bytes % 16 != 0)
    report("%s: the leading dimension of a matrix is not a multiple of 16 bytes", place(site).c_str());
}

}  // namespace cuemu
