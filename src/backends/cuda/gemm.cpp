// c = op(a) op(b) + beta * c, by cuBLAS.
//
// cuBLAS is column-major: our row-major c is its transpose, c' = op(b)' op(a)'.  A row-major matrix that is not
// transposed is column-major to it, so operands change places and nothing is moved.
#include <algorithm>
#include <limits>

#include "backends/cuda/cuda_backend.h"
#include "shear/error.h"

namespace shear::cuda {

namespace {

cudaDataType type_of(DType t) {
  switch (t) {
    case DType::f32:
      return CUDA_R_32F;
    case DType::bf16:
      return CUDA_R_16BF;
    default:
      fail(Fault::internal, "gemm: ", name(t), ", expected F32 or BF16");
  }
}

int narrow(int64_t n) {
  require(n <= std::numeric_limits<int>::max(), "gemm: a dimension of ", n, ", expected at most 2147483647");
  return static_cast<int>(n);
}

}  // namespace

void CudaBackend::multiply(Transposed ta, ConstView a, Transposed tb, ConstView b, float beta, View c) {
  const bool at = ta == Transposed::yes, bt = tb == Transposed::yes;
  const float one = 1;
  const auto transposed = [](bool is) { return is ? CUBLAS_OP_T : CUBLAS_OP_N; };
  // A leading dimension may be no less than the row, which a view of a single row need not heed.
  const auto leading = [](ConstView v) { return narrow(std::max({v.stride, v.cols, int64_t{1}})); };
  const bool round = precision_ == Precision::bf16 && a.dtype == DType::f32;  // in the tensor cores, on the way
  check(cublasGemmEx(device_->cublas.get(), transposed(bt), transposed(at), narrow(c.cols), narrow(c.rows),
                     narrow(at ? a.rows : a.cols), &one, b.data, type_of(b.dtype), leading(b), a.data, type_of(a.dtype),
                     leading(a), &beta, c.data, CUDA_R_32F, leading(c),
                     round ? CUBLAS_COMPUTE_32F_FAST_16BF : CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
        "cublasGemmEx", "gemm");
}

void CudaBackend::gemm(Transposed ta, ConstView a, Transposed tb, ConstView b, float beta, View c, ConstView bias) {
  const bool at = ta == Transposed::yes, bt = tb == Transposed::yes;
  check_product(ta, a, tb, b, c, precision_);
  if (c.rows == 0 || c.cols == 0) return;
  if (a.dtype == b.dtype || (at ? a.rows : a.cols) == 0) {
    multiply(ta, a, tb, {b.data, b.rows, b.cols, b.stride, a.dtype}, beta, c);
  } else {
    // cuBLAS takes two of a kind: the one in f32 is rounded, a band of its rows at a time.  The rows of the left one
    // are rows of c, those of the right one transposed are columns of c; else they are what is summed over.
    const bool left = a.dtype == DType::f32;
    const ConstView wide = left ? a : b;
    const int64_t rows = static_cast<int64_t>(rounded_bytes() / size_of(DType::bf16)) / wide.cols;
    require(rows > 0, "gemm: rows of ", wide.cols, " numbers, expected at most ", rounded_bytes() / 2);
    for (int64_t first = 0; first < wide.rows; first += rows) {
      const int64_t n = std::min(rows, wide.rows - first);
      const View band(device_->rounded.data(), n, wide.cols, wide.cols, DType::bf16);
      copy(wide.band(first, n), 0, band);
      const float sum = first == 0 ? beta : 1.f;
      if (left && at)
        multiply(ta, band, tb, bt ? b.columns(first, n) : b.band(first, n), sum, c);
      else if (left)
        multiply(ta, band, tb, b, beta, c.band(first, n));
      else if (bt)
        multiply(ta, a, tb, band, beta, {c.row(0) + first, c.rows, n, c.stride});
      else
        multiply(ta, at ? a.band(first, n) : a.columns(first, n), tb, band, sum, c);
    }
  }
  if (bias.data) add_row(c, bias, c);
}

}  // namespace shear::cuda
