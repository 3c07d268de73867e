// The runtime's objects, owned: device memory, a stream, a handle of cuBLAS, pinned memory that uploads pass through.
#pragma once
#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <array>

#include "shear/allocator.h"

namespace shear::cuda {

// The memory of the first device, which it makes the current one.
class DeviceMemory final : public Allocator {
 public:
  DeviceMemory();  // throws Fault::device with a sentence where no device can be used
  void* allocate(size_t bytes, Category) override;
  void deallocate(void*, size_t bytes, Category) noexcept override;
};

// Work in order, beside the default stream.
class Stream {
 public:
  Stream();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t get() const { return stream_; }
  void wait(const char* op) const;  // for all that was put on it

 private:
  cudaStream_t stream_ = nullptr;
};

class Cublas {
 public:
  Cublas();
  ~Cublas();
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;
  cublasHandle_t get() const { return handle_; }

 private:
  cublasHandle_t handle_ = nullptr;
};

// Pinned host memory in two halves: while the device reads one, the host fills the other.
class Staging {
 public:
  Staging();
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  // Copies to the device on the stream.  The host's bytes may change as soon as it returns.
  void upload(void* device, const void* host, size_t bytes, const Stream&);

 private:
  static constexpr size_t half_bytes = size_t{8} << 20;
  struct Half {
    void* bytes = nullptr;
    cudaEvent_t read = nullptr;  // the device has read it
  };
  std::array<Half, 2> halves_{};
  size_t next_ = 0;
};

}  // namespace shear::cuda
