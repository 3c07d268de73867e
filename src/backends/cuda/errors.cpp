// Which fault an answer of the CUDA runtime is.
#include "backends/cuda/errors.h"

#include "shear/error.h"
#include "shear/site.h"

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

static std::string place_of(const char* op) { return At::site().empty() ? op : text(op, " at ", At::site()); }

void check(cudaError_t answer, const char* call, const char* op) {
  if (answer == cudaSuccess) [[likely]]
    return;
  (void)cudaGetLastError();  // told here: it must not be told again by the next call
  fail(fault_of(answer), place_of(op), ": ", call, " answered ", cudaGetErrorName(answer), " (",
       cudaGetErrorString(answer), ")");
}

void check(cublasStatus_t answer, const char* call, const char* op) {
  if (answer != CUBLAS_STATUS_SUCCESS) [[unlikely]]
    fail(Fault::internal, place_of(op), ": ", call, " answered ", cublasGetStatusString(answer));
}

}  // namespace shear::cuda
