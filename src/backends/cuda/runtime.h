// The runtime's objects, owned: device memory, a stream, a handle of cuBLAS, the way of uploads.
#pragma once
#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <array>

#include "shear/storage.h"

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

// The way of bytes to the device: through pinned memory and room on the device, by a stream of its own.
//
// Where bytes are to go may be in use by kernels that were put on the compute stream before.  So they are first copied
// beside it, while those kernels run, and the compute stream moves them to their place when it gets there.
class Uploads {
 public:
  static constexpr size_t slots = 16, slot_bytes = size_t{256} << 10, room_bytes = slots * slot_bytes;

  explicit Uploads(Allocator&);  // takes room_bytes
  ~Uploads();
  Uploads(const Uploads&) = delete;
  Uploads& operator=(const Uploads&) = delete;
  // The host's bytes may change as soon as it returns; what is put on `compute` from then on sees them on the device.
  // Waits for the compute stream only where `slots` copies are under way.
  void upload(void* device, const void* host, size_t bytes, const Stream& compute);

 private:
  struct Slot {
    cudaEvent_t copied = nullptr;  // to the room on the device: the pinned bytes are free
    cudaEvent_t moved = nullptr;   // to their place: the room is free
  };
  Stream copies_;
  Storage room_;
  char* pinned_ = nullptr;
  std::array<Slot, slots> all_{};
  size_t next_ = 0;
};

}  // namespace shear::cuda
