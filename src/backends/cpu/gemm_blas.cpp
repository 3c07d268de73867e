// The whole product in one call: a BLAS splits it over threads of its own.
#include "backends/cpu/gemm_blas.h"

#include <cblas.h>

#include "shear/error.h"

namespace shear::cpu {

namespace {

int narrow(int64_t n) {
  require(n <= INT32_MAX, "gemm: ", n, " is beyond what a BLAS counts");
  return static_cast<int>(n);
}
CBLAS_TRANSPOSE order(Transposed t) { return t == Transposed::yes ? CblasTrans : CblasNoTrans; }

}  // namespace

void blas_product([[maybe_unused]] int threads, Transposed ta, ConstView a, Transposed tb, ConstView b, View c) {
  const int64_t inner = ta == Transposed::yes ? a.rows : a.cols;
  if (c.rows == 0 || c.cols == 0 || inner == 0) return;
#if defined(OPENBLAS_VERSION)
  if (openblas_get_num_threads() != threads) openblas_set_num_threads(threads);
#endif
  cblas_sgemm(CblasRowMajor, order(ta), order(tb), narrow(c.rows), narrow(c.cols), narrow(inner), 1.f, a.row(0),
              narrow(a.stride), b.row(0), narrow(b.stride), 1.f, c.row(0), narrow(c.stride));
}

}  // namespace shear::cpu
