// Device memory, streams and pinned memory.
#include "backends/cuda/runtime.h"

#include <algorithm>
#include <cstring>

#include "backends/cuda/errors.h"
#include "shear/error.h"

namespace shear::cuda {

DeviceMemory::DeviceMemory() {
  int count = 0;
  const cudaError_t answer = cudaGetDeviceCount(&count);
  if (answer != cudaSuccess || count == 0) {
    (void)cudaGetLastError();
    fail(Fault::device, setting("device"), " cuda: no CUDA device was found (",
         answer == cudaSuccess ? "the driver lists none" : cudaGetErrorString(answer), "), expected one, or ",
         setting("device"), " cpu");
  }
  check(cudaSetDevice(0), "cudaSetDevice", "the CUDA device");
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
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags", "the CUDA device");
}

Stream::~Stream() { (void)cudaStreamDestroy(stream_); }

void Stream::wait(const char* op) const { check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize", op); }

Cublas::Cublas() { check(cublasCreate(&handle_), "cublasCreate", "the CUDA device"); }

Cublas::~Cublas() { (void)cublasDestroy(handle_); }

Uploads::Uploads(Allocator& memory) : room_(memory, room_bytes, Category::workspace) {
  check(cudaMallocHost(&pinned_, room_bytes), "cudaMallocHost", "the CUDA device");
  for (Slot& slot : all_)
    for (cudaEvent_t* event : {&slot.copied, &slot.moved})
      check(cudaEventCreateWithFlags(event, cudaEventDisableTiming), "cudaEventCreateWithFlags", "the CUDA device");
}

Uploads::~Uploads() {
  (void)cudaStreamSynchronize(copies_.get());
  for (const Slot& slot : all_) {
    (void)cudaEventDestroy(slot.copied);
    (void)cudaEventDestroy(slot.moved);
  }
  (void)cudaFreeHost(pinned_);
}

void Uploads::upload(void* device, const void* host, size_t bytes, const Stream& compute) {
  constexpr const char* op = "upload";
  for (size_t at = 0; at < bytes; at += slot_bytes) {
    const Slot& slot = all_[next_];
    char* const pinned = pinned_ + next_ * slot_bytes;
    char* const room = static_cast<char*>(room_.data()) + next_ * slot_bytes;
    next_ = (next_ + 1) % slots;
    const size_t n = std::min(slot_bytes, bytes - at);
    check(cudaEventSynchronize(slot.copied), "cudaEventSynchronize", op);
    std::memcpy(pinned, static_cast<const char*>(host) + at, n);
    check(cudaStreamWaitEvent(copies_.get(), slot.moved), "cudaStreamWaitEvent", op);
    check(cudaMemcpyAsync(room, pinned, n, cudaMemcpyHostToDevice, copies_.get()), "cudaMemcpyAsync", op);
    check(cudaEventRecord(slot.copied, copies_.get()), "cudaEventRecord", op);
    check(cudaStreamWaitEvent(compute.get(), slot.copied), "cudaStreamWaitEvent", op);
    check(cudaMemcpyAsync(static_cast<char*>(device) + at, room, n, cudaMemcpyDeviceToDevice, compute.get()),
          "cudaMemcpyAsync", op);
    check(cudaEventRecord(slot.moved, compute.get()), "cudaEventRecord", op);
  }
}

}  // namespace shear::cuda
