// The emulated device's memory: its limit, its high-water mark, its edges, and copies that CUDA refuses.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "cuda_host.h"
#include "device_vector.h"

using namespace shear::test;

TEST_CASE("the high-water mark counts bytes as they were asked for") {
  cuemu::restart_peak();
  const size_t before = cuemu::memory().live;
  {
    const DeviceVector<char> a(1000);
    {
      const DeviceVector<char> b(500);
      CHECK(cuemu::memory().live == before + 1500);
    }
    const DeviceVector<char> c(100);
    CHECK(cuemu::memory().live == before + 1100);
    CHECK(cuemu::memory().peak == before + 1500);
  }
  CHECK(cuemu::memory().live == before);
  CHECK(cuemu::memory().peak == before + 1500);
  cuemu::restart_peak();
  CHECK(cuemu::memory().peak == before);
}

TEST_CASE("an allocation past the limit is refused, and what is free says so") {
  const cuemu::Memory before = cuemu::memory();
  cuemu::set_memory_limit(before.live + 1000);
  char *p = nullptr, *q = nullptr;
  CHECK(cudaMalloc(&p, 600) == cudaSuccess);
  CHECK(cudaMalloc(&q, 500) == cudaErrorMemoryAllocation);
  CHECK(q == nullptr);
  size_t free = 0, total = 0;
  CHECK(cudaMemGetInfo(&free, &total) == cudaSuccess);
  CHECK(free == 400);
  CHECK(total == before.live + 1000);
  CHECK(cudaFree(p) == cudaSuccess);
  CHECK(cudaMalloc(&q, 1000) == cudaSuccess);
  CHECK(cudaFree(q) == cudaSuccess);
  cuemu::set_memory_limit(before.limit);
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
}

TEST_CASE("fresh memory is nan") {
  const DeviceVector<float> x(100);
  for (const float v : x.get()) CHECK(std::isnan(v));
}

TEST_CASE("copies in a wrong direction or out of an allocation are refused") {
  const DeviceVector<char> device(100);
  std::vector<char> host(200);
  const auto copy = [](void* to, const void* from, size_t n, cudaMemcpyKind kind) {
    const cudaError_t answer = cudaMemcpy(to, from, n, kind);
    (void)cudaGetLastError();
    return answer;
  };
  CHECK(copy(device.data(), host.data(), 100, cudaMemcpyHostToDevice) == cudaSuccess);
  CHECK(copy(device.data(), host.data(), 100, cudaMemcpyDefault) == cudaSuccess);
  CHECK(copy(device.data(), host.data(), 101, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(copy(device.data() + 50, host.data(), 51, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(copy(device.data(), host.data(), 100, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(copy(host.data(), device.data(), 100, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(copy(host.data(), host.data() + 100, 100, cudaMemcpyDeviceToDevice) == cudaErrorInvalidValue);
  CHECK(cudaMemset(device.data(), 0, 101) == cudaErrorInvalidValue);
  CHECK(cudaFree(device.data() + 1) == cudaErrorInvalidValue);
  CHECK(cudaFreeHost(host.data()) == cudaErrorInvalidValue);
  (void)cudaGetLastError();
}

TEST_CASE("rows of a pitched copy land where they should") {
  std::vector<char> host{1, 2, 3, 4, 5, 6};
  const DeviceVector<char> device(std::vector<char>(8, 0));
  CHECK(cudaMemcpy2DAsync(device.data(), 4, host.data(), 3, 3, 2, cudaMemcpyHostToDevice) == cudaSuccess);
  CHECK(device.get() == std::vector<char>{1, 2, 3, 0, 4, 5, 6, 0});
}

TEST_CASE("protected, device memory faults when the host reaches for it") {
  const char* const wanted = std::getenv("CUEMU_PROTECT");
  if (!wanted || std::string_view(wanted) != "1") return;
  const DeviceVector<int> x(std::vector<int>{1, 2, 3});
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);
    _exit(*static_cast<volatile int*>(x.data()));
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFSIGNALED(status));
  CHECK(x.get() == std::vector<int>{1, 2, 3});
}
