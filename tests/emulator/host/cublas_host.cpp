// The gemm family in plain loops over packed operands.  Dimensions are checked as cuBLAS does; operands that reach out
// of their device allocation are reported, which cuBLAS cannot do.
#include <algorithm>
#include <vector>

#include "cublas_v2.h"
#include "cuda_bf16.h"
#include "cuda_fp16.h"
#include "emulation.h"

struct cublasContext {
  cudaStream_t stream = nullptr;
};

namespace cuemu {
namespace {

// A batch of column-major matrices in device memory.
struct Matrices {
  char* data;
  cudaDataType type;
  int rows, cols, leading;
  long long stride;
  bool rounded;  // to bf16, as they are read

  size_t element_bytes() const { return type == CUDA_R_32F ? 4 : 2; }
  size_t offset(int batch, int row, int col) const {
    return (static_cast<size_t>(batch) * static_cast<size_t>(stride) +
            static_cast<size_t>(col) * static_cast<size_t>(leading) + static_cast<size_t>(row)) *
           element_bytes();
  }
  bool empty() const { return rows == 0 || cols == 0; }
  bool on_device_whole(int batch) const {
    return empty() || batch == 0 || on_device(data, offset(batch - 1, rows - 1, cols - 1) + element_bytes());
  }
  float get(int batch, int row, int col) const {
    const char* p = data + offset(batch, row, col);
    if (type == CUDA_R_16F) return __half2float(*reinterpret_cast<const __half*>(p));
    if (type == CUDA_R_16BF) return __bfloat162float(*reinterpret_cast<const __nv_bfloat16*>(p));
    const float value = *reinterpret_cast<const float*>(p);
    return rounded ? __bfloat162float(__float2bfloat16(value)) : value;
  }
  void set(int batch, int row, int col, float value) const {
    char* p = data + offset(batch, row, col);
    if (type == CUDA_R_16F) {
      *reinterpret_cast<__half*>(p) = __float2half(value);
    } else if (type == CUDA_R_16BF) {
      *reinterpret_cast<__nv_bfloat16*>(p) = __float2bfloat16(value);
    } else {
      *reinterpret_cast<float*>(p) = value;
    }
  }
};

struct Gemm {
  Matrices a, b, c;
  bool transpose_a, transpose_b;
  int m, n, k, batch;
  float alpha, beta;
};

bool valid(const Gemm& g) {
  const auto fits = [](const Matrices& x) { return x.leading >= std::max(1, x.rows); };
  return g.m >= 0 && g.n >= 0 && g.k >= 0 && g.batch >= 0 && fits(g.a) && fits(g.b) && fits(g.c);
}

void multiply(const Gemm& g) {
  const auto m = static_cast<size_t>(g.m), n = static_cast<size_t>(g.n), k = static_cast<size_t>(g.k);
  std::vector<float> a(k * m), sums(m);
  for (int batch = 0; batch < g.batch; ++batch) {
    for (int p = 0; p < g.k; ++p)  // columns of op(a), one after another
      for (int i = 0; i < g.m; ++i)
        a[static_cast<size_t>(p) * m + static_cast<size_t>(i)] =
            g.transpose_a ? g.a.get(batch, p, i) : g.a.get(batch, i, p);
    for (int j = 0; j < g.n; ++j) {
      std::fill(sums.begin(), sums.end(), 0.0f);
      for (int p = 0; p < g.k; ++p) {
        const float factor = g.transpose_b ? g.b.get(batch, j, p) : g.b.get(batch, p, j);
        const float* const column = &a[static_cast<size_t>(p) * m];
        for (size_t i = 0; i < m; ++i) sums[i] += column[i] * factor;
      }
      for (int i = 0; i < g.m; ++i) {
        const float before = g.beta == 0 ? 0 : g.beta * g.c.get(batch, i, j);  // beta 0 does not read
        g.c.set(batch, i, j, g.alpha * sums[static_cast<size_t>(i)] + before);
      }
      if (checker && m * n > 0) checker->written_by_host(g.c.data + g.c.offset(batch, 0, j), m * g.c.element_bytes());
    }
  }
}

}  // namespace
}  // namespace cuemu

using namespace cuemu;

cublasStatus_t cublasCreate(cublasHandle_t* out) {
  *out = new cublasContext;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) { return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasSetWorkspace(cublasHandle_t, void* workspace, size_t bytes) {
  return bytes == 0 || on_device(workspace, bytes) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}
const char* cublasGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "the library was not initialized";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "the resource allocation failed";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "an invalid value was passed";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "the function failed to launch on the GPU";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "the functionality is not supported";
  }
  return "an unknown status";
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                                          int n, int k, const void* alpha, const void* a, cudaDataType type_a, int lda,
                                          long long stride_a, const void* b, cudaDataType type_b, int ldb,
                                          long long stride_b, const void* beta, void* c, cudaDataType type_c, int ldc,
                                          long long stride_c, int batch, cublasComputeType_t compute,
                                          cublasGemmAlgo_t) {
  const bool round = compute == CUBLAS_COMPUTE_32F_FAST_16BF;
  const auto matrices = [](const void* p, cudaDataType type, bool transposed, int rows, int cols, int leading,
                           long long stride, bool rounded) {
    char* const data = static_cast<char*>(const_cast<void*>(p));
    return Matrices{data, type, transposed ? cols : rows, transposed ? rows : cols, leading, stride, rounded};
  };
  const bool transpose_a = op_a == CUBLAS_OP_T, transpose_b = op_b == CUBLAS_OP_T;
  const Gemm gemm{matrices(a, type_a, transpose_a, m, k, lda, stride_a, round),
                  matrices(b, type_b, transpose_b, k, n, ldb, stride_b, round),
                  matrices(c, type_c, false, m, n, ldc, stride_c, false),
                  transpose_a,
                  transpose_b,
                  m,
                  n,
                  k,
                  batch,
                  *static_cast<const float*>(alpha),
                  *static_cast<const float*>(beta)};
  if (!valid(gemm)) return CUBLAS_STATUS_INVALID_VALUE;
  if (type_a != type_b) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (!gemm.a.on_device_whole(batch) || !gemm.b.on_device_whole(batch) || !gemm.c.on_device_whole(batch)) {
    report("cublas gemm %d x %d x %d, batch %d: an operand reaches out of its device allocation", m, n, k, batch);
    return CUBLAS_STATUS_EXECUTION_FAILED;
  }
  submit(handle->stream, [gemm] {
    const DeviceAccess access;
    multiply(gemm);
  });
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k,
                            const void* alpha, const void* a, cudaDataType type_a, int lda, const void* b,
                            cudaDataType type_b, int ldb, const void* beta, void* c, cudaDataType type_c, int ldc,
                            cublasComputeType_t compute, cublasGemmAlgo_t algorithm) {
  return cublasGemmStridedBatchedEx(handle, op_a, op_b, m, n, k, alpha, a, type_a, lda, 0, b, type_b, ldb, 0, beta, c,
                                    type_c, ldc, 0, 1, compute, algorithm);
}
cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                                         int n, int k, const float* alpha, const float* a, int lda, long long stride_a,
                                         const float* b, int ldb, long long stride_b, const float* beta, float* c,
                                         int ldc, long long stride_c, int batch) {
  return cublasGemmStridedBatchedEx(handle, op_a, op_b, m, n, k, alpha, a, CUDA_R_32F, lda, stride_a, b, CUDA_R_32F,
                                    ldb, stride_b, beta, c, CUDA_R_32F, ldc, stride_c, batch, CUBLAS_COMPUTE_32F,
                                    CUBLAS_GEMM_DEFAULT);
}
cublasStatus_t cublasSgemm(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k,
                           const float* alpha, const float* a, int lda, const float* b, int ldb, const float* beta,
                           float* c, int ldc) {
  return cublasSgemmStridedBatched(handle, op_a, op_b, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0, 1);
}
