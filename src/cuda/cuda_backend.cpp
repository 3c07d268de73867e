// The CUDA backend itself, and what moves bytes between host and device.
#include "cuda/cuda_backend.h"

#include "shear/storage.h"

namespace shear {

std::unique_ptr<Backend> make_cuda_backend() { return std::make_unique<cuda::CudaBackend>(); }

namespace cuda {

CudaBackend::CudaBackend()
    : workspace_(memory_, workspace_bytes, Category::workspace), partial_(memory_, partial_bytes, Category::workspace) {
  check(cublasSetStream(cublas_.get(), stream_.get()), "cublasSetStream", "--device cuda");
  check(cublasSetWorkspace(cublas_.get(), workspace_.data(), workspace_bytes), "cublasSetWorkspace", "--device cuda");
}

CudaBackend::~CudaBackend() { (void)cudaStreamSynchronize(stream_.get()); }  // its memory may be in use until then

size_t CudaBackend::slab_bytes() const {
  size_t available = 0, total = 0;
  check(cudaMemGetInfo(&available, &total), "cudaMemGetInfo", "--device cuda");
  return available / 2;
}

void CudaBackend::upload(void* device, const void* host, size_t bytes) {
  staging_.upload(device, host, bytes, stream_);
}

void CudaBackend::download(void* host, const void* device, size_t bytes) {
  check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_.get()), "cudaMemcpyAsync", "download");
  stream_.wait("download");
}

}  // namespace cuda
}  // namespace shear
