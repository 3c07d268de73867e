#include "maths.h"

#include <cuda_fp16.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "backends/cuda/launch.h"

namespace shear::ptx::test {

namespace {

struct Exp {
  __device__ float operator()(float x) const { return expf(x); }
};
struct Exp2 {
  __device__ float operator()(float x) const { return exp2f(x); }
};
struct Expm1 {
  __device__ float operator()(float x) const { return expm1f(x); }
};
struct Log {
  __device__ float operator()(float x) const { return logf(x); }
};
struct Log2 {
  __device__ float operator()(float x) const { return log2f(x); }
};
struct Log1p {
  __device__ float operator()(float x) const { return log1pf(x); }
};
struct Tanh {
  __device__ float operator()(float x) const { return tanhf(x); }
};
struct Erf {
  __device__ float operator()(float x) const { return erff(x); }
};
struct Sin {
  __device__ float operator()(float x) const { return sinf(x); }
};
struct Cos {
  __device__ float operator()(float x) const { return cosf(x); }
};
struct Sqrt {
  __device__ float operator()(float x) const { return sqrtf(x); }
};
struct Rsqrt {
  __device__ float operator()(float x) const { return rsqrtf(x); }
};
struct Cbrt {
  __device__ float operator()(float x) const { return cbrtf(x); }
};
struct Cube {
  __device__ float operator()(float x) const { return powf(x, 3.f); }
};
struct Inverse {
  __device__ float operator()(float x) const { return 1.f / x; }
};
struct Wide {
  __device__ float operator()(float x) const { return static_cast<float>(sqrt(1.0 + double{x} * x)); }
};

template <class F>
__global__ void map_kernel(F f, const float* x, float* y, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) y[i] = f(x[i]);
}

template <class F>
void map(const float* x, float* y, int n, cudaStream_t stream) {
  cuda::launch(map_kernel<F>, cuda::blocks_for(n, 128), dim3(128), 0, stream, F{}, x, y, n);
}

constexpr double large = 80000;  // past the quick reduction of angles
const Function table[] = {
    {"expf", map<Exp>, std::exp, -80, 80, 2},
    {"exp2f", map<Exp2>, std::exp2, -100, 100, 2},
    {"expm1f", map<Expm1>, std::expm1, -10, 10, 1},
    {"logf", map<Log>, std::log, 1e-30f, 1e30f, 1},
    {"log2f", map<Log2>, std::log2, 1e-30f, 1e30f, 1},
    {"log1pf", map<Log1p>, std::log1p, -0.9f, 100, 1},
    {"tanhf", map<Tanh>, std::tanh, -10, 10, 2},
    {"erff", map<Erf>, std::erf, -4, 4, 2},
    {"sinf", map<Sin>, std::sin, -100, 100, 2},
    {"cosf", map<Cos>, std::cos, -100, 100, 2},
    {"sinf of large angles", map<Sin>, std::sin, -1000 * large, 1000 * large, 2},
    {"sqrtf", map<Sqrt>, std::sqrt, 0, 1e30f, 0},
    {"rsqrtf", map<Rsqrt>, [](double x) { return 1 / std::sqrt(x); }, 1e-30f, 1e30f, 2},
    {"cbrtf", map<Cbrt>, std::cbrt, -1e6f, 1e6f, 1},
    {"powf(x, 3)", map<Cube>, [](double x) { return x * x * x; }, -100, 100, 4},
    {"1 / x", map<Inverse>, [](double x) { return 1 / x; }, 1e-30f, 1e30f, 0},
    {"sqrt in f64", map<Wide>, [](double x) { return std::sqrt(1 + x * x); }, -100, 100, 0},
};

// A function of whole numbers with cases enough for a table of branches.
__host__ __device__ inline uint32_t by_case(uint32_t k) {
  switch (k) {
    case 0:
      return 17;
    case 1:
      return k * 3 + 5;
    case 2:
      return 0xffffffffu / 7;
    case 3:
      return 99;
    case 4:
      return k ^ 0x55;
    case 5:
      return 1u << 20;
    case 6:
      return 1234567;
    default:
      return k << 3;
  }
}

struct Parts {  // an argument by value, with holes
  uint8_t a;
  uint32_t b;
  double c;
};
constexpr Parts parts{3, 70000, 2.5};

__global__ void odds_and_ends_kernel(Parts p, uint32_t* out) {
  __shared__ uint32_t counters[4];
  extern __shared__ unsigned char dyn_smem[];
  auto* words = reinterpret_cast<uint32_t*>(dyn_smem);
  const uint32_t t = threadIdx.x;
  if (t < 4) counters[t] = 0;
  words[t] = t * t;
  __syncthreads();
  atomicAdd(&counters[0], t);
  atomicMax(&counters[1], t * 7 % 31);
  atomicAdd(&counters[2], 1u);
  uint32_t expected = counters[3];
  while (true) {  // 3 x + 1, once a thread
    const uint32_t seen = atomicCAS(&counters[3], expected, 3 * expected + 1);
    if (seen == expected) break;
    expected = seen;
  }
  __syncthreads();
  uint32_t* to = out + odds_and_ends * t;
  to[0] = counters[0];
  to[1] = counters[1];
  to[2] = counters[2];
  to[3] = counters[3];
  to[4] = words[31 - t];
  to[5] = by_case(t % 9);
  to[6] = __ballot_sync(0xffffffffu, t % 3 == 0);
  to[7] = static_cast<uint32_t>(__syncthreads_count(t < 10));
  to[8] = static_cast<uint32_t>(p.a + p.b + static_cast<uint32_t>(p.c * 4));
  int local[8];  // indexed by what is known at run time alone: local memory
  for (int i = 0; i < 8; ++i) local[i] = i * i;
  for (int i = 0; i < 8; ++i) local[(i + static_cast<int>(t)) & 7] += i;
  to[9] = static_cast<uint32_t>(local[t & 7]);
  const uint64_t wide = (uint64_t{t} << 40 | 0x123456789u) * 0x9E3779B97F4A7C15u;
  to[10] = static_cast<uint32_t>(__umul64hi(wide, wide) ^ wide / 1000003 ^ wide % 977);
  to[11] =
      static_cast<uint32_t>(__popc(t * 2654435761u) + __clz(static_cast<int>(t)) + __ffs(static_cast<int>(t << 4)));
  to[12] = __float_as_uint(__half2float(__float2half(1.f / (1 + t))));
  to[13] = __shfl_sync(0xffffffffu, t + 100, (t + 5) % 32);
  to[14] =
      static_cast<uint32_t>(__float2int_rn(t * 0.5f)) + static_cast<uint32_t>(static_cast<int>(-1.5f * t)) + __brev(t);
  to[15] = static_cast<uint32_t>(static_cast<int64_t>(-1000003) * static_cast<int64_t>(t) / 7);
}

}  // namespace

std::span<const Function> functions() { return table; }

void run_odds_and_ends(uint32_t* out, cudaStream_t stream) {
  cuda::launch(odds_and_ends_kernel, dim3(1), dim3(32), 32 * sizeof(uint32_t), stream, parts, out);
}

uint32_t expected_odds_and_ends(int which, uint32_t t) {
  const uint64_t wide = (uint64_t{t} << 40 | 0x123456789u) * 0x9E3779B97F4A7C15u;
  const auto bits_of = [](float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
  };
  const auto ones = [](uint32_t x) {
    uint32_t n = 0;
    for (; x; x &= x - 1) ++n;
    return n;
  };
  const auto leading = [](uint32_t x) {
    uint32_t n = 0;
    while (n < 32 && !(x >> (31 - n) & 1)) ++n;
    return n;
  };
  uint32_t value = 0;
  switch (which) {
    case 0:
      return 31 * 32 / 2;
    case 1:
      for (uint32_t k = 0; k < 32; ++k) value = std::max(value, k * 7 % 31);
      return value;
    case 2:
      return 32;
    case 3:
      for (int k = 0; k < 32; ++k) value = 3 * value + 1;
      return value;
    case 4:
      return (31 - t) * (31 - t);
    case 5:
      return by_case(t % 9);
    case 6:
      return 0x49249249;
    case 7:
      return 10;
    case 8:
      return 3 + 70000 + 10;
    case 9:
      return (t & 7) * (t & 7);
    case 10: {
      __extension__ typedef unsigned __int128 Whole128;
      return static_cast<uint32_t>(static_cast<uint64_t>(Whole128{wide} * wide >> 64) ^ wide / 1000003 ^ wide % 977);
    }
    case 11:
      return ones(t * 2654435761u) + leading(t) + (t ? 5 + ones((t & -t) - 1) : 0);
    case 12:
      return bits_of(__half2float(__float2half(1.f / (1 + t))));
    case 13:
      return (t + 5) % 32 + 100;
    case 14:
      for (int k = 0; k < 32; ++k) value |= (t >> k & 1) << (31 - k);
      return value + static_cast<uint32_t>(std::nearbyint(t * 0.5f)) +
             static_cast<uint32_t>(static_cast<int>(-1.5f * t));
    default:
      return static_cast<uint32_t>(int64_t{-1000003} * t / 7);
  }
}

}  // namespace shear::ptx::test
