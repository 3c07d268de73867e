// What the CUDA runtime and cuBLAS answer, told as the library's errors.
#pragma once
#include <cublas_v2.h>
#include <cuda_runtime.h>

namespace shear::cuda {

// Throws unless `answer` is success: "layernorm: cudaLaunchKernelEx answered cudaErrorInvalidValue (invalid argument)".
// Fault::memory where memory was refused, Fault::device where there is no usable device, Fault::internal otherwise.
// `op`: the function of the backend for which `call` was made.  Where this thread works At a site, that is named too:
// "layernorm at blocks.3.norm1: ...".
void check(cudaError_t answer, const char* call, const char* op);
void check(cublasStatus_t answer, const char* call, const char* op);

}  // namespace shear::cuda
