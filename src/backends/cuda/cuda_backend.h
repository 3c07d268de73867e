// The CUDA backend: cuBLAS for products of matrices, own kernels for the rest, a file per group.
//
// Everything runs on one stream, in the order of the calls; only `download` and what returns a number wait for it.
// What is uploaded is copied to the device by a second stream, beside the kernels that were started before.
// Results depend on shapes alone: sums are taken in two passes, the second in a fixed order.
#pragma once
#include "backends/cuda/launch.h"
#include "backends/cuda/runtime.h"
#include "shear/make_backend.h"

namespace shear::cuda {

class CudaBackend final : public Backend {
 public:
  CudaBackend(Precision, CudaUse);  // on the first device; throws Fault::device where there is none

  std::string_view name() const override { return "cuda"; }
  Precision precision() const override { return precision_; }
  Allocator& memory() override { return device_->memory; }
  bool on_host() const override { return false; }
  size_t slab_bytes() const override;
  size_t resident_bytes() const override {
    return workspace_bytes + partial_bytes + Uploads::room_bytes + rounded_bytes();
  }

  void upload(void* device, const void* host, size_t bytes) override;
  void download(void* host, const void* device, size_t bytes) override;

  // A group of kernels, include/shear/kernels/NAME.inc, is launched in NAME.cu here, but for gemm, in gemm.cpp.
#define SHEAR_KERNEL(result, name, parameters, names) result name parameters override
#define SHEAR_SCRATCH(name, type, of) int64_t name(type of) const override
#include "shear/kernels/list.inc"

 private:
  static constexpr size_t workspace_bytes = size_t{8} << 20;  // cuBLAS asks for 4 MiB, on Hopper for up to 32
  static constexpr size_t partial_bytes = size_t{1} << 20;
  size_t rounded_bytes() const { return precision_ == Precision::bf16 ? size_t{4} << 20 : 0; }

  void multiply(Transposed, ConstView a, Transposed, ConstView b, float beta, View c);  // a and b of one type

  On on(const char* op) const { return {device_->stream.get(), op}; }
  // Room for the first pass of a sum; the next sum on the stream uses it again.
  template <class T>
  T* partial() const {
    return static_cast<T*>(device_->partial.data());
  }
  template <class T>
  static constexpr int64_t partial_room() {
    return static_cast<int64_t>(partial_bytes / sizeof(T));
  }

  // What is opened with the device.
  struct Opened {
    DeviceMemory memory;
    Stream stream;
    Uploads uploads{memory};
    Cublas cublas;
    Storage workspace;  // cuBLAS's
    Storage partial;    // of sums in two passes
    Storage rounded;    // bands of f32 matrices that meet one in bf16
    ~Opened();
  };

  Precision precision_;
  std::unique_ptr<Opened> device_;  // null where only sizes are asked for
};

}  // namespace shear::cuda
