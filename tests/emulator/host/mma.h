// Stands where NVIDIA's mma.h does: nvcuda::wmma for 16 x 16 x 16, f16 or bf16 in, f32 sums.
//
// CUDA leaves open which lane holds which elements of a fragment.  Here it is a scramble that no hardware has, so that
// a kernel which counts on one fails.
#pragma once
#include "cuda_api.h"
#include "cuda_bf16.h"
#include "cuda_fp16.h"

namespace cuemu {

// For the functions below, whose accesses the checker is told of; they are not instrumented themselves.
void wmma_access(const void*, size_t bytes, bool written);
void wmma_check(const void* const* addresses, const void* mine, size_t leading_bytes, Site);

namespace wmma {

constexpr int side = 16, held = side * side / 32;  // elements that a lane holds

CUDA_HOST_UNCHECKED inline int lane() {
  return static_cast<int>((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32);
}
// Element i of a lane, and back: multiplication by 37 modulo 256, whose inverse is 173.
CUDA_HOST_UNCHECKED constexpr int element(int lane, int i) { return ((i * 32 + lane) * 37 + 11) & 255; }
CUDA_HOST_UNCHECKED constexpr int slot(int element) { return ((element - 11) * 173) & 255; }

CUDA_HOST_UNCHECKED inline void addresses_of_all(const void* mine, const void** all, Site site) {
  warp_operation(Warp::addresses, 0xffffffffu, mine, all, sizeof mine, 0, 32, site);
}
CUDA_HOST_UNCHECKED inline float widened(__half v) { return __half2float(v); }
CUDA_HOST_UNCHECKED inline float widened(__nv_bfloat16 v) { return __bfloat162float(v); }

}  // namespace wmma
}  // namespace cuemu

namespace nvcuda::wmma {

struct row_major {};
struct col_major {};
struct matrix_a {};
struct matrix_b {};
struct accumulator {};
enum layout_t { mem_row_major, mem_col_major };

template <class Use, int M, int N, int K, class T, class Layout = void>
struct fragment {
  static_assert(M == 16 && N == 16 && K == 16);
  static constexpr int num_elements = cuemu::wmma::held;
  T x[num_elements];
};

template <class Fragment, class T>
void fill_fragment(Fragment& f, const T& value) {
  for (auto& e : f.x) e = value;
}

template <class Use, class T, class Layout>
CUDA_HOST_UNCHECKED void load_matrix_sync(fragment<Use, 16, 16, 16, T, Layout>& f, const T* p, unsigned leading,
                                          CUDA_HOST_SITE) {
  const void* all[32];
  cuemu::wmma::addresses_of_all(p, all, CUDA_HOST_HERE);
  cuemu::wmma_check(all, p, leading * sizeof(T), CUDA_HOST_HERE);
  for (int i = 0; i < f.num_elements; ++i) {
    const int e = cuemu::wmma::element(cuemu::wmma::lane(), i);
    const auto row = static_cast<unsigned>(e / 16), column = static_cast<unsigned>(e % 16);
    const T* const from = p + (std::is_same_v<Layout, col_major> ? column * leading + row : row * leading + column);
    cuemu::wmma_access(from, sizeof(T), false);
    f.x[i] = *from;
  }
}

template <class T>
CUDA_HOST_UNCHECKED void load_matrix_sync(fragment<accumulator, 16, 16, 16, T>& f, const T* p, unsigned leading,
                                          layout_t layout, CUDA_HOST_SITE) {
  const void* all[32];
  cuemu::wmma::addresses_of_all(p, all, CUDA_HOST_HERE);
  cuemu::wmma_check(all, p, leading * sizeof(T), CUDA_HOST_HERE);
  for (int i = 0; i < f.num_elements; ++i) {
    const int e = cuemu::wmma::element(cuemu::wmma::lane(), i);
    const auto row = static_cast<unsigned>(e / 16), column = static_cast<unsigned>(e % 16);
    const T* const from = p + (layout == mem_col_major ? column * leading + row : row * leading + column);
    cuemu::wmma_access(from, sizeof(T), false);
    f.x[i] = *from;
  }
}

template <class T>
CUDA_HOST_UNCHECKED void store_matrix_sync(T* p, const fragment<accumulator, 16, 16, 16, T>& f, unsigned leading,
                                           layout_t layout, CUDA_HOST_SITE) {
  const void* all[32];
  cuemu::wmma::addresses_of_all(p, all, CUDA_HOST_HERE);
  cuemu::wmma_check(all, p, leading * sizeof(T), CUDA_HOST_HERE);
  for (int i = 0; i < f.num_elements; ++i) {
    const int e = cuemu::wmma::element(cuemu::wmma::lane(), i);
    const auto row = static_cast<unsigned>(e / 16), column = static_cast<unsigned>(e % 16);
    T* const to = p + (layout == mem_row_major ? row * leading + column : column * leading + row);
    cuemu::wmma_access(to, sizeof(T), true);
    *to = f.x[i];
  }
  __syncwarp(0xffffffffu, file_, line_);
}

// d = a b + c; d may be c.
template <class T, class LayoutA, class LayoutB>
CUDA_HOST_UNCHECKED void mma_sync(fragment<accumulator, 16, 16, 16, float>& d,
                                  const fragment<matrix_a, 16, 16, 16, T, LayoutA>& a,
                                  const fragment<matrix_b, 16, 16, 16, T, LayoutB>& b,
                                  const fragment<accumulator, 16, 16, 16, float>& c, CUDA_HOST_SITE) {
  struct Operands {
    const T *a, *b;
  };
  const Operands mine{a.x, b.x};
  const void* all[32];
  cuemu::wmma::addresses_of_all(&mine, all, CUDA_HOST_HERE);
  float sums[cuemu::wmma::held];
  for (int i = 0; i < d.num_elements; ++i) {
    const int e = cuemu::wmma::element(cuemu::wmma::lane(), i), row = e / 16, column = e % 16;
    float sum = 0;
    for (int k = 0; k < 16; ++k) {
      const int of_a = cuemu::wmma::slot(row * 16 + k), of_b = cuemu::wmma::slot(k * 16 + column);
      const auto *left = static_cast<const Operands*>(all[of_a % 32]),
                 *right = static_cast<const Operands*>(all[of_b % 32]);
      sum += cuemu::wmma::widened(left->a[of_a / 32]) * cuemu::wmma::widened(right->b[of_b / 32]);
    }
    sums[i] = c.x[i] + sum;
  }
  __syncwarp(0xffffffffu, file_, line_);  // until all have read, nobody's fragments may change
  for (int i = 0; i < d.num_elements; ++i) d.x[i] = sums[i];
}

}  // namespace nvcuda::wmma
