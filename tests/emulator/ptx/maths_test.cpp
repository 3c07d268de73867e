// What nvcc makes of the functions that kernels may call, against double precision; and of other things that a kernel
// may do, against the same done on the host.
#include "maths.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "backends/cuda/errors.h"

namespace shear::ptx::test {

namespace {

template <class T>
class OnDevice {
 public:
  explicit OnDevice(size_t n) : n_(n) {
    cuda::check(cudaMalloc(reinterpret_cast<void**>(&p_), n * sizeof(T)), "cudaMalloc", "test");
  }
  explicit OnDevice(const std::vector<T>& v) : OnDevice(v.size()) {
    cuda::check(cudaMemcpy(p_, v.data(), n_ * sizeof(T), cudaMemcpyHostToDevice), "cudaMemcpy", "test");
  }
  ~OnDevice() { (void)cudaFree(p_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  T* get() const { return p_; }
  std::vector<T> download() const {
    std::vector<T> v(n_);
    cuda::check(cudaMemcpy(v.data(), p_, n_ * sizeof(T), cudaMemcpyDeviceToHost), "cudaMemcpy", "test");
    return v;
  }

 private:
  T* p_ = nullptr;
  size_t n_;
};

// In units in the last place of the exact value's f32.
double error_in_ulp(float got, double exact) {
  const auto nearest = std::fabs(static_cast<float>(exact));
  const double unit = static_cast<double>(std::nextafter(nearest, INFINITY)) - static_cast<double>(nearest);
  return std::fabs(static_cast<double>(got) - exact) / unit;
}

}  // namespace

TEST_CASE("functions are as exact as NVIDIA promises") {
  constexpr int n = 2000;
  for (const Function& f : functions()) {
    std::vector<float> x(n);
    // Evenly, or by powers where the range is wide and positive.
    for (int i = 0; i < n; ++i) {
      const double share = (i + 0.5) / n, low = static_cast<double>(f.low), high = static_cast<double>(f.high);
      const bool by_powers = low > 0 && high / low > 1e6;
      x[static_cast<size_t>(i)] =
          static_cast<float>(by_powers ? low * std::pow(high / low, share) : low + share * (high - low));
    }
    const OnDevice<float> in(x), out(x.size());
    f.run(in.get(), out.get(), n, nullptr);
    const std::vector<float> y = out.download();
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double e = error_in_ulp(y[i], f.exact(static_cast<double>(x[i])));
      worst = e <= worst ? worst : e;  // nan stays
    }
    INFO(f.name, ": off by ", worst, " units in the last place");
    CHECK(worst <= std::max(f.most_ulp, 0.5) + 0.5);  // the promise is in whole units
  }
}

TEST_CASE("atomics, votes, tables of branches, structures, local arrays, wide products and the rest") {
  const OnDevice<uint32_t> out(odds_and_ends * 32);
  run_odds_and_ends(out.get(), nullptr);
  const std::vector<uint32_t> words = out.download();
  for (uint32_t t = 0; t < 32; ++t)
    for (int k = 0; k < odds_and_ends; ++k) {
      INFO("word ", k, " of thread ", t);
      CHECK(words[t * odds_and_ends + static_cast<uint32_t>(k)] == expected_odds_and_ends(k, t));
    }
}

}  // namespace shear::ptx::test
