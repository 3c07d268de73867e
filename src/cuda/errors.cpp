// Which fault an answer of the CUDA runtime is.
#include "cuda/errors.h"

#include "shear/error.h"

namespace shear::cuda {

static Fault fault_of(cudaError_t answer) {
  switch (answer) {
    case cudaErrorMemoryAllocation:
      return Fault::memory;
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
    case cudaErrorInsufficientDriver:
      return Fault::device;
    default:
      return Fault::internal;
  }
}

void check(cudaError_t answer, const char* call, const char* op) {
  if (answer == cudaSuccess) [[likely]]
    return;
  (void)cudaGetLastError();  // told here: it must not be told again by the next call
  fail(fault_of(answer), op, ": ", call, " answered ", cudaGetErrorName(answer), " (", cudaGetErrorString(answer), ")");
}

void check(cublasStatus_t answer, const char* call, const char* op) {
  if (answer != CUBLAS_STATUS_SUCCESS) [[unlikely]]
    fail(Fault::internal, op, ": ", call, " answered ", cublasGetStatusString(answer));
}

}  // namespace shear::cuda
