// One float or four at a time: where addresses and lengths allow it, kernels move 16 bytes per access.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

namespace shear::cuda {

template <int W>
struct Lanes {
  static_assert(W == 1 || W == 4);
  float at[W];
};

template <int W>
__device__ __forceinline__ Lanes<W> load(const float* from) {
  Lanes<W> v;
  if constexpr (W == 4) {
    const float4 four = *reinterpret_cast<const float4*>(from);
    v.at[0] = four.x, v.at[1] = four.y, v.at[2] = four.z, v.at[3] = four.w;
  } else {
    v.at[0] = *from;
  }
  return v;
}

template <int W>
__device__ __forceinline__ void store(float* to, const Lanes<W>& v) {
  if constexpr (W == 4)
    *reinterpret_cast<float4*>(to) = make_float4(v.at[0], v.at[1], v.at[2], v.at[3]);
  else
    *to = v.at[0];
}

// Whether rows of `cols` floats that begin `stride` apart can be read four at a time.
inline bool in_fours(const void* data, int64_t cols, int64_t stride) {
  return reinterpret_cast<uintptr_t>(data) % 16 == 0 && cols % 4 == 0 && stride % 4 == 0;
}

}  // namespace shear::cuda
