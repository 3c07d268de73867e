// What the machine can do at the most, measured: the bounds that operators are held against.
#pragma once
#include "shear/device.h"

namespace shear::tool {

struct Bounds {
  double fma_flops = 0;     // a second, of multiplications and additions that never leave the registers; 0: not known
  double gemm_flops = 0;    // a second, of the best of the backend's square products
  int64_t gemm_size = 0;    // of that product
  double copied_bytes = 0;  // a second, read and written, of the backend's copy of what no cache holds
};
// `quick`: of small sizes, for a look whether everything runs.
Bounds measure_bounds(Device&, int threads, bool quick);

}  // namespace shear::tool
