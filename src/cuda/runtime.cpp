// Device memory, streams and pinned memory.
#include "cuda/runtime.h"

#include <algorithm>
#include <cstring>

#include "cuda/errors.h"
#include "shear/error.h"

namespace shear::cuda {

DeviceMemory::DeviceMemory() {
  int count = 0;
  const cudaError_t answer = cudaGetDeviceCount(&count);
  if (answer != cudaSuccess || count == 0) {
    (void)cudaGetLastError();
    fail(Fault::device, "--device cuda: no CUDA device was found (",
         answer == cudaSuccess ? "the driver lists none" : cudaGetErrorString(answer),
         "), expected one, or --device cpu");
  }
  check(cudaSetDevice(0), "cudaSetDevice", "--device cuda");
}

void* DeviceMemory::allocate(size_t bytes, Category c) {
  bytes = aligned(std::max<size_t>(bytes, 1));
  void* p = nullptr;
  if (const cudaError_t answer = cudaMalloc(&p, bytes); answer != cudaSuccess) {
    (void)cudaGetLastError();
    size_t available = 0, total = 0;
    if (answer != cudaErrorMemoryAllocation) check(answer, "cudaMalloc", "allocate");
    check(cudaMemGetInfo(&available, &total), "cudaMemGetInfo", "allocate");
    fail(Fault::memory, "out of memory: the device refused ", bytes, " bytes for ", shear::name(c), ", of its ", total,
         " bytes ", available, " are free");
  }
  return p;
}

void DeviceMemory::deallocate(void* p, size_t, Category) noexcept { (void)cudaFree(p); }

Stream::Stream() {
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags", "--device cuda");
}

Stream::~Stream() { (void)cudaStreamDestroy(stream_); }

void Stream::wait(const char* op) const { check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize", op); }

Cublas::Cublas() { check(cublasCreate(&handle_), "cublasCreate", "--device cuda"); }

Cublas::~Cublas() { (void)cublasDestroy(handle_); }

Staging::Staging() {
  for (Half& half : halves_) {
    check(cudaMallocHost(&half.bytes, half_bytes), "cudaMallocHost", "--device cuda");
    check(cudaEventCreateWithFlags(&half.read, cudaEventDisableTiming), "cudaEventCreateWithFlags", "--device cuda");
  }
}

Staging::~Staging() {
  for (Half& half : halves_) {
    (void)cudaEventSynchronize(half.read);
    (void)cudaEventDestroy(half.read);
    (void)cudaFreeHost(half.bytes);
  }
}

void Staging::upload(void* device, const void* host, size_t bytes, const Stream& stream) {
  for (size_t at = 0; at < bytes; at += half_bytes) {
    const Half& half = halves_[next_];
    next_ = (next_ + 1) % halves_.size();
    const size_t n = std::min(half_bytes, bytes - at);
    check(cudaEventSynchronize(half.read), "cudaEventSynchronize", "upload");
    std::memcpy(half.bytes, static_cast<const char*>(host) + at, n);
    check(cudaMemcpyAsync(static_cast<char*>(device) + at, half.bytes, n, cudaMemcpyHostToDevice, stream.get()),
          "cudaMemcpyAsync", "upload");
    check(cudaEventRecord(half.read, stream.get()), "cudaEventRecord", "upload");
  }
}

}  // namespace shear::cuda
