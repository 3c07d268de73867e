// Streams and events: what waits for what, and what a host that does not wait sees.
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "cuda_host.h"
#include "device_vector.h"
#include "sample_kernels.h"

using namespace shear::test;
namespace sample = shear::cuda::sample;

namespace {

struct Lazily {
  Lazily() { cuemu::set_streams("lazy"); }
  ~Lazily() { cuemu::set_streams(""); }
  Lazily(const Lazily&) = delete;
  Lazily& operator=(const Lazily&) = delete;
};

struct Pinned {
  float* values = nullptr;
  explicit Pinned(size_t n, float value) {
    REQUIRE(cudaMallocHost(&values, n * sizeof(float)) == cudaSuccess);
    std::fill_n(values, n, value);
  }
  ~Pinned() { (void)cudaFreeHost(values); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
};

constexpr int n = 8;
constexpr size_t bytes = n * sizeof(float);

}  // namespace

TEST_CASE("lazily, the host sees a result only after it waited") {
  const Lazily lazily;
  const DeviceVector<float> x(std::vector<float>(n, 3.0f)), y(n);
  const Pinned out(n, -1.0f);
  cudaStream_t stream = nullptr;
  CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  sample::copy_in_fours(x.data(), y.data(), n, stream);
  CHECK(cudaMemcpyAsync(out.values, y.data(), bytes, cudaMemcpyDeviceToHost, stream) == cudaSuccess);
  CHECK(cudaStreamQuery(stream) == cudaErrorNotReady);
  CHECK(out.values[0] == -1.0f);
  CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
  CHECK(cudaStreamQuery(stream) == cudaSuccess);
  CHECK(out.values[0] == 3.0f);
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
}

TEST_CASE("lazily, pinned memory is read when its turn comes, pageable memory at the call") {
  const Lazily lazily;
  const DeviceVector<float> x(n), y(n);
  const Pinned pinned(n, 1.0f);
  std::vector<float> pageable(n, 1.0f);
  cudaStream_t stream = nullptr;
  CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  CHECK(cudaMemcpyAsync(x.data(), pinned.values, bytes, cudaMemcpyHostToDevice, stream) == cudaSuccess);
  CHECK(cudaMemcpyAsync(y.data(), pageable.data(), bytes, cudaMemcpyHostToDevice, stream) == cudaSuccess);
  pinned.values[0] = pageable[0] = 2.0f;
  CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
  CHECK(x.get()[0] == 2.0f);
  CHECK(y.get()[0] == 1.0f);
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
}

TEST_CASE("a stream that waits for an event comes after what the event came after") {
  const Lazily lazily;
  const DeviceVector<float> x(std::vector<float>(n, 5.0f)), y(n), z(n);
  cudaStream_t first = nullptr, second = nullptr;
  cudaEvent_t written = nullptr;
  CHECK(cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking) == cudaSuccess);
  CHECK(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking) == cudaSuccess);
  CHECK(cudaEventCreateWithFlags(&written, cudaEventDisableTiming) == cudaSuccess);
  sample::copy_in_fours(x.data(), y.data(), n, first);
  CHECK(cudaEventRecord(written, first) == cudaSuccess);
  CHECK(cudaEventQuery(written) == cudaErrorNotReady);
  CHECK(cudaStreamWaitEvent(second, written) == cudaSuccess);
  sample::copy_in_fours(y.data(), z.data(), n, second);
  CHECK(cudaStreamSynchronize(second) == cudaSuccess);
  CHECK(cudaEventQuery(written) == cudaSuccess);
  CHECK(z.get()[0] == 5.0f);
  CHECK(cudaEventDestroy(written) == cudaSuccess);
  CHECK(cudaStreamDestroy(first) == cudaSuccess);
  CHECK(cudaStreamDestroy(second) == cudaSuccess);
}

TEST_CASE("the default stream waits for the others, unless they are told not to block") {
  const Lazily lazily;
  for (const bool blocking : {true, false}) {
    const DeviceVector<float> x(std::vector<float>(n, 7.0f)), y(std::vector<float>(n, 0.0f));
    cudaStream_t stream = nullptr;
    CHECK(cudaStreamCreateWithFlags(&stream, blocking ? cudaStreamDefault : cudaStreamNonBlocking) == cudaSuccess);
    sample::copy_in_fours(x.data(), y.data(), n, stream);
    CHECK(y.get()[0] == (blocking ? 7.0f : 0.0f));  // read on the default stream
    CHECK(cudaStreamDestroy(stream) == cudaSuccess);
  }
}

TEST_CASE("memory freed on a stream is there until its turn comes") {
  const Lazily lazily;
  const size_t before = cuemu::memory().live;
  cudaStream_t stream = nullptr;
  CHECK(cudaStreamCreate(&stream) == cudaSuccess);
  float* x = nullptr;
  CHECK(cudaMallocAsync(&x, bytes, stream) == cudaSuccess);
  CHECK(cudaMemsetAsync(x, 0, bytes, stream) == cudaSuccess);
  CHECK(cudaFreeAsync(x, stream) == cudaSuccess);
  CHECK(cuemu::memory().live == before + bytes);
  CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
  CHECK(cuemu::memory().live == before);
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
}

TEST_CASE("a host function runs in its turn") {
  cudaStream_t stream = nullptr;
  CHECK(cudaStreamCreate(&stream) == cudaSuccess);
  int calls = 0;
  CHECK(cudaLaunchHostFunc(
            stream, [](void* p) { ++*static_cast<int*>(p); }, &calls) == cudaSuccess);
  CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
  CHECK(calls == 1);
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
  CHECK(cudaStreamDestroy(stream) == cudaErrorInvalidResourceHandle);
  (void)cudaGetLastError();
}
