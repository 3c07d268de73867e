// Optimizer updates, launched: a thread to an element, and to those a grid apart.
#include <cmath>

#include "backends/cuda/cuda_backend.h"
#include "kernels/optimizers.cuh"
#include "shear/error.h"

namespace shear::cuda {

namespace {

template <class Step, class... State>
void run(On on, const Step& step, View w, ConstView g, ConstView active, State... state) {
  const int64_t n = w.elements();
  require(n == g.elements() && ((n == state.elements()) && ...), on.op, ": sizes differ");
  require(!active.data || active.elements() == w.cols, on.op, ": ", active.elements(), " flags for ", w.cols,
          " columns");
  launch(update_kernel<Step, decltype(state.row(0))...>, blocks_for(n, threads), threads, 0, on, step, n, w.cols,
         active.row(0), w.row(0), g.row(0), state.row(0)...);
}

}  // namespace

void CudaBackend::sgd(const SgdStep& s, View w, ConstView g, View velocity, ConstView active) {
  run(on("sgd"), s, w, g, active, velocity);
}

void CudaBackend::adamw(const AdamWStep& s, View w, ConstView g, View first, View second, ConstView active) {
  run(on("adamw"), AdamWFactors{s, s.lr / s.correction1, 1.f / std::sqrt(s.correction2)}, w, g, active, first, second);
}

}  // namespace shear::cuda
