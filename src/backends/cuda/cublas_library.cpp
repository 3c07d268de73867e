// cuBLAS, loaded when a device first asks for it: the functions that the backend calls, each of which asks the library.
//
// Linked in the ordinary way it would cost every run 210 MiB of resident memory and 0.14 s, those on the CPU too, and
// an executable with the CUDA backend would not start where there is no cuBLAS.
#include <cublas_v2.h>
#include <dlfcn.h>

#include "shear/error.h"

namespace {

void* library() {
  static void* const loaded = dlopen(shear::text("libcublas.so.", CUBLAS_VER_MAJOR).c_str(), RTLD_NOW | RTLD_LOCAL);
  return loaded;
}

// The library's function of that name and type; throws Fault::device where there is none.
template <class F>
F* find(const char* name) {
  void* const found = library() ? dlsym(library(), name) : nullptr;
  if (!found)
    shear::fail(shear::Fault::device, shear::setting("device"), " cuda: cuBLAS ", CUBLAS_VER_MAJOR,
                " cannot be loaded (", dlerror(), "), expected that of the CUDA toolkit, or ", shear::setting("device"),
                " cpu");
  return reinterpret_cast<F*>(found);
}

using Status = cublasStatus_t;
using Handle = cublasHandle_t;
using Operation = cublasOperation_t;
using Type = cudaDataType;
using Compute = cublasComputeType_t;
using Algorithm = cublasGemmAlgo_t;

}  // namespace

extern "C" {

Status cublasCreate_v2(Handle* handle) {
  static const auto call = find<decltype(cublasCreate_v2)>("cublasCreate_v2");
  return call(handle);
}

Status cublasDestroy_v2(Handle handle) {
  static const auto call = find<decltype(cublasDestroy_v2)>("cublasDestroy_v2");
  return call(handle);
}

Status cublasSetStream_v2(Handle handle, cudaStream_t stream) {
  static const auto call = find<decltype(cublasSetStream_v2)>("cublasSetStream_v2");
  return call(handle, stream);
}

Status cublasSetWorkspace_v2(Handle handle, void* workspace, size_t bytes) {
  static const auto call = find<decltype(cublasSetWorkspace_v2)>("cublasSetWorkspace_v2");
  return call(handle, workspace, bytes);
}

const char* cublasGetStatusString(Status status) {
  static const auto call = find<decltype(cublasGetStatusString)>("cublasGetStatusString");
  return call(status);
}

Status cublasGemmEx(Handle handle, Operation ta, Operation tb, int m, int n, int k, const void* alpha, const void* a,
                    Type a_type, int lda, const void* b, Type b_type, int ldb, const void* beta, void* c, Type c_type,
                    int ldc, Compute compute, Algorithm algorithm) {
  static const auto call =  // of two of that name in C++
      find<Status(Handle, Operation, Operation, int, int, int, const void*, const void*, Type, int, const void*, Type,
                  int, const void*, void*, Type, int, Compute, Algorithm)>("cublasGemmEx");
  return call(handle, ta, tb, m, n, k, alpha, a, a_type, lda, b, b_type, ldb, beta, c, c_type, ldc, compute, algorithm);
}

}  // extern "C"
