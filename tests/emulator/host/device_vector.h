// Elements in device memory, for tests.
#pragma once
#include <cuda_runtime.h>

#include <vector>

#include "backends/cuda/errors.h"

namespace shear::test {

template <class T>
class DeviceVector {
 public:
  explicit DeviceVector(size_t n) : n_(n) { cuda::check(cudaMalloc(&data_, n * sizeof(T)), "cudaMalloc", "test"); }
  explicit DeviceVector(const std::vector<T>& values) : DeviceVector(values.size()) {
    cuda::check(cudaMemcpy(data_, values.data(), n_ * sizeof(T), cudaMemcpyHostToDevice), "cudaMemcpy", "test");
  }
  ~DeviceVector() { (void)cudaFree(data_); }
  DeviceVector(const DeviceVector&) = delete;
  DeviceVector& operator=(const DeviceVector&) = delete;

  T* data() const { return data_; }
  std::vector<T> get() const {
    std::vector<T> values(n_);
    cuda::check(cudaMemcpy(values.data(), data_, n_ * sizeof(T), cudaMemcpyDeviceToHost), "cudaMemcpy", "test");
    return values;
  }

 private:
  T* data_ = nullptr;
  size_t n_;
};

}  // namespace shear::test
