// The real cuBLAS, as the backend loads it.  Without a device it makes no handle, and says so: it was found and asked.
#include <cublas_v2.h>
#include <dlfcn.h>
#include <doctest/doctest.h>

#include <string>

static bool is_loaded() {
  void* const library = dlopen(("libcublas.so." + std::to_string(CUBLAS_VER_MAJOR)).c_str(), RTLD_NOW | RTLD_NOLOAD);
  return library && dlclose(library) == 0;
}

TEST_CASE("cuBLAS is loaded by the first call, and each function that the backend calls is the library's own") {
  CHECK(!is_loaded());
  CHECK(cublasGetStatusString(CUBLAS_STATUS_SUCCESS) == std::string("success"));
  CHECK(is_loaded());
  cublasHandle_t handle = nullptr;
  int devices = 0;
  const cublasStatus_t made = cublasCreate(&handle);
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    CHECK(made == CUBLAS_STATUS_NOT_INITIALIZED);
    CHECK(handle == nullptr);
  } else {
    CHECK(made == CUBLAS_STATUS_SUCCESS);
    CHECK(cublasDestroy(handle) == CUBLAS_STATUS_SUCCESS);
  }
  // With no handle each of them says that there is none.
  const float one = 1;
  CHECK(cublasDestroy(nullptr) == CUBLAS_STATUS_NOT_INITIALIZED);
  CHECK(cublasSetStream(nullptr, nullptr) == CUBLAS_STATUS_NOT_INITIALIZED);
  CHECK(cublasSetWorkspace(nullptr, nullptr, 0) == CUBLAS_STATUS_NOT_INITIALIZED);
  CHECK(cublasGemmEx(nullptr, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, nullptr, CUDA_R_32F, 1, nullptr, CUDA_R_32F, 1,
                     &one, nullptr, CUDA_R_32F, 1, CUBLAS_COMPUTE_32F,
                     CUBLAS_GEMM_DEFAULT) == CUBLAS_STATUS_NOT_INITIALIZED);
}
