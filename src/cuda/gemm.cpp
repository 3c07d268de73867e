// c = op(a) op(b) + beta * c, by cuBLAS.
//
// cuBLAS is column-major: our row-major c is its transpose, c' = op(b)' op(a)'.  A row-major matrix that is not
// transposed is column-major to it, so operands change places and nothing is moved.
#include <algorithm>
#include <limits>

#include "cuda/cuda_backend.h"
#include "shear/error.h"

namespace shear::cuda {

namespace {

cudaDataType type_of(DType t) {
  switch (t) {
    case DType::f32:
      return CUDA_R_32F;
    case DType::f16:
      return CUDA_R_16F;
    case DType::bf16:
      return CUDA_R_16BF;
    default:
      fail(Fault::internal, "gemm: ", name(t), ", expected F32, F16 or BF16");
  }
}

int narrow(int64_t n) {
  require(n <= std::numeric_limits<int>::max(), "gemm: a dimension of ", n, ", expected at most 2147483647");
  return static_cast<int>(n);
}

}  // namespace

void CudaBackend::gemm(Transposed ta, ConstView a, Transposed tb, ConstView b, float beta, View c, ConstView bias) {
  const bool at = ta == Transposed::yes, bt = tb == Transposed::yes;
  const int64_t inner = at ? a.rows : a.cols;
  require((at ? a.cols : a.rows) == c.rows && (bt ? b.rows : b.cols) == c.cols && inner == (bt ? b.cols : b.rows),
          "gemm: (", a.rows, ", ", a.cols, ")", at ? "'" : "", " x (", b.rows, ", ", b.cols, ")", bt ? "'" : "",
          " -> (", c.rows, ", ", c.cols, ")");
  require(a.dtype == b.dtype && c.dtype == DType::f32, "gemm: ", shear::name(a.dtype), " x ", shear::name(b.dtype),
          " -> ", shear::name(c.dtype), ", expected two of a kind and F32");
  if (c.rows == 0 || c.cols == 0) return;
  const float one = 1;
  const auto transposed = [](bool is) { return is ? CUBLAS_OP_T : CUBLAS_OP_N; };
  // A leading dimension may be no less than the row, which a view of a single row need not heed.
  const auto leading = [](ConstView v) { return narrow(std::max({v.stride, v.cols, int64_t{1}})); };
  check(cublasGemmEx(cublas_.get(), transposed(bt), transposed(at), narrow(c.cols), narrow(c.rows), narrow(inner), &one,
                     b.data, type_of(b.dtype), leading(b), a.data, type_of(a.dtype), leading(a), &beta, c.data,
                     CUDA_R_32F, leading(c), CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
        "cublasGemmEx", "gemm");
  if (bias.data) add_row(c, bias, c);
}

}  // namespace shear::cuda
