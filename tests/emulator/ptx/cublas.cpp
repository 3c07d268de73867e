// cuBLAS's gemm, by its definition: column-major, c = alpha op(a) op(b) + beta c, sums in f32.  Where the compute type
// allows bf16, f32 operands are rounded to it.
#include <cublas_v2.h>

#include <algorithm>

#include "device.h"

using shear::ptx::BFloat;
using shear::ptx::Device;
using shear::ptx::Half;

struct cublasContext {};

namespace {

struct Matrix {
  const void* data;
  cudaDataType type;
  int64_t rows, cols, leading;
  bool round;  // to bf16

  int64_t element_bytes() const { return type == CUDA_R_32F ? 4 : 2; }
  float at(int64_t r, int64_t c) const {
    const int64_t i = c * leading + r;
    if (type == CUDA_R_32F) {
      const float x = static_cast<const float*>(data)[i];
      return round ? static_cast<float>(widen(shear::ptx::narrow<8>(static_cast<double>(x)))) : x;
    }
    if (type == CUDA_R_16F) return static_cast<float>(widen(static_cast<const Half*>(data)[i]));
    return static_cast<float>(widen(static_cast<const BFloat*>(data)[i]));
  }
  bool known_type() const { return type == CUDA_R_32F || type == CUDA_R_16F || type == CUDA_R_16BF; }
  // Its dimensions are as cuBLAS asks, and all of it lies in one allocation of the device.
  bool valid() const {
    if (rows < 0 || cols < 0 || leading < std::max<int64_t>(rows, 1) || !known_type()) return false;
    if (rows == 0 || cols == 0) return true;
    return Device::get().reaches(data, static_cast<size_t>(((cols - 1) * leading + rows) * element_bytes()));
  }
};

}  // namespace

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  *handle = new cublasContext;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream_v2(cublasHandle_t, cudaStream_t) { return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t, void*, size_t) { return CUBLAS_STATUS_SUCCESS; }
const char* cublasGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS         ? "success"
         : status == CUBLAS_STATUS_INVALID_VALUE ? "a dimension is wrong, or an operand reaches out of its allocation"
                                                 : "not supported by the stand-in";
}

cublasStatus_t cublasGemmEx(cublasHandle_t, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                            const void* alpha, const void* a, cudaDataType a_type, int lda, const void* b,
                            cudaDataType b_type, int ldb, const void* beta, void* c, cudaDataType c_type, int ldc,
                            cublasComputeType_t compute, cublasGemmAlgo_t) {
  const bool round = compute == CUBLAS_COMPUTE_32F_FAST_16BF;
  if ((compute != CUBLAS_COMPUTE_32F && !round) || c_type != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
  const bool at = ta != CUBLAS_OP_N, bt = tb != CUBLAS_OP_N;
  const Matrix x{a, a_type, at ? k : m, at ? m : k, lda, round}, y{b, b_type, bt ? n : k, bt ? k : n, ldb, round},
      z{c, c_type, m, n, ldc, false};
  if (!x.valid() || !y.valid() || !z.valid()) return CUBLAS_STATUS_INVALID_VALUE;
  const float scale = *static_cast<const float*>(alpha), keep = *static_cast<const float*>(beta);
  std::vector<float> column(static_cast<size_t>(m));
  for (int64_t j = 0; j < n; ++j) {
    std::fill(column.begin(), column.end(), 0.f);
    for (int64_t p = 0; p < k; ++p) {
      const float factor = bt ? y.at(j, p) : y.at(p, j);
      for (int64_t i = 0; i < m; ++i) column[static_cast<size_t>(i)] += (at ? x.at(p, i) : x.at(i, p)) * factor;
    }
    for (int64_t i = 0; i < m; ++i) {
      float& to = static_cast<float*>(c)[j * ldc + i];
      to = scale * column[static_cast<size_t>(i)] + (keep != 0 ? keep * to : 0.f);
    }
  }
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
