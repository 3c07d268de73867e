// c += op(a) op(b) by a CBLAS, where Shear was built with one (-Dblas=openblas).
#pragma once
#include "shear/backend.h"

namespace shear::cpu {

void blas_product(int threads, Transposed ta, ConstView a, Transposed tb, ConstView b, View c);

}  // namespace shear::cpu
