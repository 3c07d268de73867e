// What every backend checks alike.
#include "shear/backend.h"

#include "shear/error.h"

namespace shear {

void check_product(Transposed ta, ConstView a, Transposed tb, ConstView b, ConstView c, Precision precision) {
  const bool at = ta == Transposed::yes, bt = tb == Transposed::yes;
  require((at ? a.cols : a.rows) == c.rows && (bt ? b.rows : b.cols) == c.cols &&
              (at ? a.rows : a.cols) == (bt ? b.cols : b.rows),
          "gemm: (", a.rows, ", ", a.cols, ")", at ? "'" : "", " x (", b.rows, ", ", b.cols, ")", bt ? "'" : "",
          " -> (", c.rows, ", ", c.cols, ")");
  const auto fits = [&](DType t) { return t == DType::f32 || (t == DType::bf16 && precision == Precision::bf16); };
  require(fits(a.dtype) && fits(b.dtype) && c.dtype == DType::f32, "gemm: ", name(a.dtype), " x ", name(b.dtype),
          " -> ", name(c.dtype), ", expected F32", precision == Precision::bf16 ? " or BF16 -> F32" : "");
}

}  // namespace shear
