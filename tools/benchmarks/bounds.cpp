// What the machine can do at the most.
#include "bounds.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include "operands.h"
#include "shear/backend.h"

namespace shear::tool {

namespace {

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The least of some runs, after one that only warms up.
double best_of(int runs, const std::function<void()>& work) {
  double best = 1e30;
  work();
  for (int i = 0; i < runs; ++i) best = std::min(best, seconds_of(work));
  return best;
}

// The widest vectors of the instruction set that this file was compiled for.
#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif
using Vector = float __attribute__((vector_size(vector_bytes)));
// As many sums at once as hide the latency of a multiplication and addition, and fit in 16 registers with two operands.
constexpr int sums = 12;

struct F32 {
  static constexpr double flops = 2. * vector_bytes / sizeof(float);  // of one `add`
  static Vector add(Vector sum, Vector a, Vector b) { return sum * a + b; }
};
#if defined(__AVX512BF16__)
struct Bf16 {
  static constexpr double flops = 4. * vector_bytes / sizeof(float);
  static Vector add(Vector sum, Vector a, Vector b) {
    return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
  }
};
#else
using Bf16 = F32;  // it is emulated
#endif

template <class Kind>
float multiply_and_add(int64_t rounds, float by, float plus) {
  std::array<Vector, sums> acc;
  const Vector factor = Vector{} + by, term = Vector{} + plus;
  for (Vector& a : acc) a = factor * static_cast<float>(&a - acc.data());  // each another, or one sum would do for all
  for (int64_t i = 0; i < rounds; ++i)
    for (Vector& a : acc) a = Kind::add(a, factor, term);
  Vector total{};
  for (const Vector& a : acc) total += a;
  return total[0];
}

template <class Kind>
double register_rate(int threads, bool quick) {
  const int64_t rounds = quick ? 100000 : 20000000;
  volatile float sink = 0;  // or the compiler would see that nobody asks for the sums
  const double seconds = best_of(3, [&] {
    float all = 0;
#pragma omp parallel num_threads(threads) reduction(+ : all)
    all += multiply_and_add<Kind>(rounds, 0.5f, sink + 1);
    sink = all * 0;
  });
  return sums * Kind::flops * static_cast<double>(rounds) * threads / seconds;
}

void measure_gemm(Device& device, bool quick, Bounds& bounds) {
  for (const int64_t n : quick ? std::vector<int64_t>{64} : std::vector<int64_t>{1024, 1536, 2048, 3072}) {
    Operands operands(device);
    const View a = operands.random(n, n), b = operands.random(n, n), c = operands.room(n, n);
    const double seconds = best_of(3, [&] {
      device.run().gemm(Transposed::no, a, Transposed::no, b, 0, c);
      operands.wait();
    });
    const double rate = 2. * static_cast<double>(n * n * n) / seconds;
    if (rate > bounds.gemm_flops) bounds.gemm_flops = rate, bounds.gemm_size = n;
  }
}

void measure_copy(Device& device, int threads, bool quick, Bounds& bounds) {
  const int64_t n = quick ? 1 << 20 : 1 << 26;
  Operands operands(device);
  const View from = operands.room(1, n), to = operands.room(1, n);
  device.run().fill(from, 1);
  // Rows of a page each, and as few as give every thread one: the system's copy of long rows goes around the caches.
  for (const int64_t rows : {n / 1024, static_cast<int64_t>(threads)}) {
    const int64_t cols = n / rows;
    const double seconds = best_of(5, [&] {
      device.run().copy({from.data, rows, cols, cols}, 0, {to.data, rows, cols, cols});
      operands.wait();
    });
    bounds.copied_bytes =
        std::max(bounds.copied_bytes, 2. * sizeof(float) * static_cast<double>(rows * cols) / seconds);
  }
}

}  // namespace

Bounds measure_bounds(Device& device, int threads, bool quick) {
  Bounds bounds;
  if (device.run().on_host())
    bounds.fma_flops = device.run().precision() == Precision::bf16 ? register_rate<Bf16>(threads, quick)
                                                                   : register_rate<F32>(threads, quick);
  measure_gemm(device, quick, bounds);
  measure_copy(device, threads, quick, bounds);
  return bounds;
}

}  // namespace shear::tool
