// The CUDA backend itself, and what moves bytes between host and device.
#include "backends/cuda/cuda_backend.h"

#include "shear/storage.h"

namespace shear {

std::unique_ptr<Backend> make_cuda_backend(Precision precision, CudaUse use) {
  return std::make_unique<cuda::CudaBackend>(precision, use);
}

namespace cuda {

CudaBackend::CudaBackend(Precision precision, CudaUse use) : precision_(precision) {
  if (use == CudaUse::plan) return;
  device_ = std::make_unique<Opened>();
  Opened& d = *device_;
  d.workspace = Storage(d.memory, workspace_bytes, Category::workspace);
  d.partial = Storage(d.memory, partial_bytes, Category::workspace);
  if (rounded_bytes() > 0) d.rounded = Storage(d.memory, rounded_bytes(), Category::workspace);
  check(cublasSetStream(d.cublas.get(), d.stream.get()), "cublasSetStream", "the CUDA device");
  check(cublasSetWorkspace(d.cublas.get(), d.workspace.data(), workspace_bytes), "cublasSetWorkspace",
        "the CUDA device");
}

CudaBackend::Opened::~Opened() { (void)cudaStreamSynchronize(stream.get()); }  // its memory may be in use until then

size_t CudaBackend::slab_bytes() const {
  size_t available = 0, total = 0;
  check(cudaMemGetInfo(&available, &total), "cudaMemGetInfo", "the CUDA device");
  return available / 2;
}

void CudaBackend::upload(void* device, const void* host, size_t bytes) {
  device_->uploads.upload(device, host, bytes, device_->stream);
}

void CudaBackend::download(void* host, const void* device, size_t bytes) {
  check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, device_->stream.get()), "cudaMemcpyAsync",
        "download");
  device_->stream.wait("download");
}

}  // namespace cuda
}  // namespace shear
