// The functions of one number that kernels may call, each applied to many.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>
#include <span>

namespace shear::ptx::test {

struct Function {
  const char* name;
  void (*run)(const float* x, float* y, int n, cudaStream_t);  // y[i] = f(x[i]), in device memory
  double (*exact)(double);
  float low, high;  // where it is tried
  double most_ulp;  // what NVIDIA promises: CUDA C++ Programming Guide, "Mathematical Functions", f32
};
std::span<const Function> functions();

// What else nvcc makes code of, each with one answer: see maths.cu.
inline constexpr int odds_and_ends = 16;
void run_odds_and_ends(uint32_t* out, cudaStream_t);  // odds_and_ends words from each of 32 threads
uint32_t expected_odds_and_ends(int which, uint32_t thread);

}  // namespace shear::ptx::test
