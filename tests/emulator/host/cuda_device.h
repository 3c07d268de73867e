// What a kernel may use: its indices, barriers, warp operations, atomics, and the maths that <cmath> lacks.
#pragma once
#include <cmath>
#include <cstring>
#include <type_traits>

#include "cuda_types.h"

inline thread_local uint3 threadIdx, blockIdx;
inline thread_local dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

namespace cuemu {

// Where in a kernel something was asked for.  Two barriers are told apart by it.
struct Site {
  const char* file;
  int line;
};

enum class Barrier : uint8_t { plain, count, all, any };
// Waits for the block's other threads; returns how many predicates were true, or whether all or any were.
int barrier(Barrier, int predicate, Site);

enum class Warp : uint8_t { sync, shuffle, shuffle_up, shuffle_down, shuffle_xor, ballot, all, any, addresses };
// Waits for the lanes in `mask`, then writes `size` bytes to `out`: a shuffle the `in` of another lane (`source` as the
// shuffle has it, in segments of `width`), a vote the outcome over *in, `addresses` the 32 lanes' `in`.
void warp_operation(Warp, unsigned mask, const void* in, void* out, size_t size, int source, int width, Site);

void trap(Site);

}  // namespace cuemu

#define CUDA_HOST_SITE const char *file_ = __builtin_FILE(), int line_ = __builtin_LINE()
#define CUDA_HOST_HERE \
  cuemu::Site { file_, line_ }

// -- Barriers and warp operations ------------------------------------------------------------------------------------
inline void __syncthreads(CUDA_HOST_SITE) { cuemu::barrier(cuemu::Barrier::plain, 0, CUDA_HOST_HERE); }
inline int __syncthreads_count(int predicate, CUDA_HOST_SITE) {
  return cuemu::barrier(cuemu::Barrier::count, predicate, CUDA_HOST_HERE);
}
inline int __syncthreads_and(int predicate, CUDA_HOST_SITE) {
  return cuemu::barrier(cuemu::Barrier::all, predicate, CUDA_HOST_HERE);
}
inline int __syncthreads_or(int predicate, CUDA_HOST_SITE) {
  return cuemu::barrier(cuemu::Barrier::any, predicate, CUDA_HOST_HERE);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, CUDA_HOST_SITE) {
  cuemu::warp_operation(cuemu::Warp::sync, mask, nullptr, nullptr, 0, 0, 32, CUDA_HOST_HERE);
}

#define CUDA_HOST_SHUFFLE(name, operation, Source)                                                                    \
  template <class T>                                                                                                  \
  T name(unsigned mask, T value, Source source, int width = 32, CUDA_HOST_SITE) {                                     \
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);                                                 \
    T out;                                                                                                            \
    cuemu::warp_operation(operation, mask, &value, &out, sizeof(T), static_cast<int>(source), width, CUDA_HOST_HERE); \
    return out;                                                                                                       \
  }
CUDA_HOST_SHUFFLE(__shfl_sync, cuemu::Warp::shuffle, int)
CUDA_HOST_SHUFFLE(__shfl_up_sync, cuemu::Warp::shuffle_up, unsigned)
CUDA_HOST_SHUFFLE(__shfl_down_sync, cuemu::Warp::shuffle_down, unsigned)
CUDA_HOST_SHUFFLE(__shfl_xor_sync, cuemu::Warp::shuffle_xor, int)
#undef CUDA_HOST_SHUFFLE

namespace cuemu {
inline unsigned vote(Warp operation, unsigned mask, int predicate, Site site) {
  const unsigned in = predicate != 0;
  unsigned out;
  warp_operation(operation, mask, &in, &out, sizeof out, 0, 32, site);
  return out;
}
}  // namespace cuemu
inline unsigned __ballot_sync(unsigned mask, int predicate, CUDA_HOST_SITE) {
  return cuemu::vote(cuemu::Warp::ballot, mask, predicate, CUDA_HOST_HERE);
}
inline int __all_sync(unsigned mask, int predicate, CUDA_HOST_SITE) {
  return static_cast<int>(cuemu::vote(cuemu::Warp::all, mask, predicate, CUDA_HOST_HERE));
}
inline int __any_sync(unsigned mask, int predicate, CUDA_HOST_SITE) {
  return static_cast<int>(cuemu::vote(cuemu::Warp::any, mask, predicate, CUDA_HOST_HERE));
}
inline void __threadfence() { asm volatile("" ::: "memory"); }
inline void __threadfence_block() { asm volatile("" ::: "memory"); }
inline void __trap(CUDA_HOST_SITE) { cuemu::trap(CUDA_HOST_HERE); }

// -- Atomics: by the compiler's builtins, so that an instrumented build sees that they are ---------------------------
namespace cuemu {
template <class T, class F>
T atomically(T* p, F change) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  using Word = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  Word* const word = reinterpret_cast<Word*>(p);
  Word old = __atomic_load_n(word, __ATOMIC_RELAXED), wanted;
  T value;
  do {
    std::memcpy(&value, &old, sizeof value);
    const T changed = change(value);
    std::memcpy(&wanted, &changed, sizeof wanted);
  } while (!__atomic_compare_exchange_n(word, &old, wanted, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return value;
}
}  // namespace cuemu
#define CUDA_HOST_INTEGER_ATOMICS(T)                                                         \
  inline T atomicAdd(T* p, T v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }       \
  inline T atomicExch(T* p, T v) { return __atomic_exchange_n(p, v, __ATOMIC_RELAXED); }     \
  inline T atomicAnd(T* p, T v) { return __atomic_fetch_and(p, v, __ATOMIC_RELAXED); }       \
  inline T atomicOr(T* p, T v) { return __atomic_fetch_or(p, v, __ATOMIC_RELAXED); }         \
  inline T atomicXor(T* p, T v) { return __atomic_fetch_xor(p, v, __ATOMIC_RELAXED); }       \
  inline T atomicMax(T* p, T v) {                                                            \
    return cuemu::atomically(p, [v](T old) { return old > v ? old : v; });                   \
  }                                                                                          \
  inline T atomicMin(T* p, T v) {                                                            \
    return cuemu::atomically(p, [v](T old) { return old < v ? old : v; });                   \
  }                                                                                          \
  inline T atomicCAS(T* p, T expected, T v) {                                                \
    __atomic_compare_exchange_n(p, &expected, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED); \
    return expected;                                                                         \
  }
CUDA_HOST_INTEGER_ATOMICS(int)
CUDA_HOST_INTEGER_ATOMICS(unsigned)
CUDA_HOST_INTEGER_ATOMICS(unsigned long long)
#undef CUDA_HOST_INTEGER_ATOMICS
inline int atomicSub(int* p, int v) { return __atomic_fetch_sub(p, v, __ATOMIC_RELAXED); }
inline unsigned atomicSub(unsigned* p, unsigned v) { return __atomic_fetch_sub(p, v, __ATOMIC_RELAXED); }
inline float atomicAdd(float* p, float v) {
  return cuemu::atomically(p, [v](float old) { return old + v; });
}
inline double atomicAdd(double* p, double v) {
  return cuemu::atomically(p, [v](double old) { return old + v; });
}

// -- Integers --------------------------------------------------------------------------------------------------------
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x != 0 ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline int __clzll(long long x) { return x != 0 ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>((static_cast<uint64_t>(a) * b) >> 32); }
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
inline long min(long a, long b) { return a < b ? a : b; }
inline long max(long a, long b) { return a > b ? a : b; }
inline long long min(long long a, long long b) { return a < b ? a : b; }
inline long long max(long long a, long long b) { return a > b ? a : b; }
inline unsigned long min(unsigned long a, unsigned long b) { return a < b ? a : b; }
inline unsigned long max(unsigned long a, unsigned long b) { return a > b ? a : b; }

// -- Floats ----------------------------------------------------------------------------------------------------------
namespace cuemu {
template <class To, class From>
To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}
}  // namespace cuemu
inline float __int_as_float(int x) { return cuemu::bits_as<float>(x); }
inline int __float_as_int(float x) { return cuemu::bits_as<int>(x); }
inline float __uint_as_float(unsigned x) { return cuemu::bits_as<float>(x); }
inline unsigned __float_as_uint(float x) { return cuemu::bits_as<unsigned>(x); }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }  // of nan 0
inline int __float2int_rn(float x) {  // nan becomes 0, what lies beyond an int the nearest int
  if (!(x == x)) return 0;
  if (x >= 2147483648.0f) return 2147483647;
  return x <= -2147483648.0f ? -2147483647 - 1 : static_cast<int>(std::nearbyint(x));
}
// Products and sums that are never contracted into one rounding.
namespace cuemu {
inline float opaque(float x) {
  const volatile float unseen = x;
  return unseen;
}
}  // namespace cuemu
inline float __fmul_rn(float a, float b) { return cuemu::opaque(a * b); }
inline float __fadd_rn(float a, float b) { return cuemu::opaque(cuemu::opaque(a) + cuemu::opaque(b)); }
inline float __fsub_rn(float a, float b) { return cuemu::opaque(cuemu::opaque(a) - cuemu::opaque(b)); }
template <class T>
T __ldg(const T* p) {
  return *p;
}
