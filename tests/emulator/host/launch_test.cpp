// What the emulation refuses and reports of launches, as CUDA refuses it or leaves it undefined.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "cuda_host.h"
#include "device_vector.h"
#include "errors.h"
#include "sample_kernels.h"

using namespace shear;
using namespace shear::test;
namespace sample = shear::cuda::sample;

namespace {

std::string refusal(dim3 grid, dim3 block, size_t shared_bytes = 0) {
  return sentence(Fault::internal, [&] { sample::empty(grid, block, shared_bytes, nullptr); });
}
bool contains(const std::string& text, const char* part) { return text.find(part) != text.npos; }

}  // namespace

TEST_CASE("a launch of more threads or blocks than a device takes is refused") {
  CHECK(contains(refusal(1, 1025), "cudaErrorInvalidConfiguration"));
  CHECK(contains(refusal(1, dim3(64, 17)), "cudaErrorInvalidConfiguration"));
  CHECK(contains(refusal(1, dim3(1, 1, 65)), "cudaErrorInvalidConfiguration"));
  CHECK(contains(refusal(1, 0), "cudaErrorInvalidConfiguration"));
  CHECK(contains(refusal(dim3(1, 65536), 1), "cudaErrorInvalidConfiguration"));
  sample::empty(dim3(3, 2, 2), dim3(1024), 0, nullptr);
}

TEST_CASE("more than 48 KiB of dynamic shared memory must be asked for, and 227 KiB is all there is") {
  cudaLaunchConfig_t config;
  config.dynamicSmemBytes = 48 * 1024 + 1;
  void (*const kernel)() = [] {};
  CHECK(cudaLaunchKernelEx(&config, kernel) == cudaErrorInvalidValue);
  CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 100 * 1024) == cudaSuccess);
  CHECK(cudaLaunchKernelEx(&config, kernel) == cudaSuccess);
  CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 228 * 1024) == cudaErrorInvalidValue);
  CHECK(cudaGetLastError() == cudaErrorInvalidValue);
  CHECK(cudaGetLastError() == cudaSuccess);
}

TEST_CASE("counts of launches, blocks and threads") {
  CHECK(cudaDeviceSynchronize() == cudaSuccess);  // lazily, earlier launches are still to come
  const cuemu::Counts before = cuemu::counts();
  sample::empty(dim3(3, 2), 64, 0, nullptr);
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  CHECK(cuemu::counts().launches - before.launches == 1);
  CHECK(cuemu::counts().blocks - before.blocks == 6);
  CHECK(cuemu::counts().threads - before.threads == 384);
  CHECK(cuemu::counts().switches - before.switches == 12);  // into each block and out of it: nobody waits
}

TEST_CASE("a device that is not there, or has another number, is said so") {
  int n = 7;
  CHECK(cudaSetDevice(1) == cudaErrorInvalidDevice);
  cuemu::set_device_there(false);
  CHECK(cudaGetDeviceCount(&n) == cudaErrorNoDevice);
  CHECK(n == 0);
  cuemu::set_device_there(true);
  CHECK(cudaGetDeviceCount(&n) == cudaSuccess);
  CHECK(n == 1);
  (void)cudaGetLastError();
}

TEST_CASE("kernels that the checker follows are told with the bytes that they move") {
  if (!cuemu::checked()) return;
  const int n = 1024;
  const DeviceVector<float> x(std::vector<float>(n, 1.0f)), y(n);
  const auto of = [](const char* name) {
    for (const cuemu::Traffic& t : cuemu::traffic())
      if (t.kernel.ends_with(name)) return t;
    return cuemu::Traffic{};
  };
  const cuemu::Traffic before = of("copy_in_fours_kernel");
  sample::copy_in_fours(x.data(), y.data(), n, nullptr);
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  const cuemu::Traffic after = of("copy_in_fours_kernel");
  CHECK(after.launches - before.launches == 1);
  CHECK(after.read - before.read == n * sizeof(float));
  CHECK(after.written - before.written == n * sizeof(float));
  CHECK(after.least_read - before.least_read == n * sizeof(float));
  CHECK(after.least_written - before.least_written == n * sizeof(float));

  // A tiled product reads its operands once per tile of the other: here twice each.
  const cuemu::Traffic product_before = of("tiled_product_kernel");
  const DeviceVector<float> a(std::vector<float>(32 * 32, 1.0f)), c(32 * 32);
  sample::tiled_product(a.data(), a.data(), c.data(), 32, 32, 32, nullptr);
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  const cuemu::Traffic product = of("tiled_product_kernel");
  CHECK(product.read - product_before.read == 2 * 2 * 4096);
  CHECK(product.least_read - product_before.least_read == 4096);  // a is both operands
  CHECK(product.written - product_before.written == 4096);

  // One element of each operand: four bytes are asked for, a sector is moved.
  const bool counted = cuemu::count_sectors(true);
  const cuemu::Traffic single_before = of("tiled_product_kernel");
  sample::tiled_product(a.data(), a.data(), c.data(), 1, 1, 1, nullptr);
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  const cuemu::Traffic single = of("tiled_product_kernel");
  cuemu::count_sectors(counted);
  CHECK(single.read - single_before.read == 8);
  CHECK(single.transferred - single_before.transferred == 3 * 32);
}
