// Forms x consumers: one overload per form, and the compiler lists what is missing.
#include "autograd/contract.h"

namespace shear {

void weight_grad(Backward& bw, const Kept& x, const Tensor& dy, const Tensor& dw, float beta) {
  std::visit(match{
                 [&](const Dense& d) { bw.run().gemm(Transposed::yes, dy, Transposed::no, d.values, beta, dw); },
                 [&](const Recomputed& r) {
                   banded_weight_grad(bw, r.rows, r.cols, dy, dw, beta,
                                      [&](int64_t first, View band) { bw.remake(r, first, band); });
                 },
             },
             x);
}

}  // namespace shear
