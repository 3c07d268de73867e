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

void check_coded(const char* op, View w, ConstView g, ConstView codes, ConstView scales, ConstView active) {
  require(w.elements() == g.elements() && w.elements() == codes.elements() &&
              state_blocks(w.elements()) == scales.elements(),
          op, ": sizes differ");
  require(!active.data || active.elements() == w.cols, op, ": ", active.elements(), " flags for ", w.cols, " columns");
}

}  // namespace

void CudaBackend::sgd(const SgdStep& s, View w, ConstView g, View velocity, ConstView active) {
  run(on("sgd"), s, w, g, active, velocity);
}

void CudaBackend::adamw(const AdamWStep& s, View w, ConstView g, View first, View second, ConstView active) {
  run(on("adamw"), AdamWFactors{s, s.lr / s.correction1, 1.f / std::sqrt(s.correction2)}, w, g, active, first, second);
}

void CudaBackend::sgd_coded(const SgdStep& s, View w, ConstView g, View velocity, View scales, ConstView active) {
  check_coded("sgd_coded", w, g, velocity, scales, active);
  launch(sgd_coded_kernel, blocks_for(w.elements(), threads), threads, 0, on("sgd_coded"), s, w.elements(), w.cols,
         active.row(0), w.row(0), g.row(0), velocity.row<uint8_t>(0), scales.row(0));
}

void CudaBackend::adamw_coded(const AdamWStep& s, const StreamKey& rounding, View w, ConstView g, View m, View m_scales,
                              View v, View v_scales, ConstView active) {
  check_coded("adamw_coded", w, g, m, m_scales, active);
  check_coded("adamw_coded", w, g, v, v_scales, active);
  launch(adamw_coded_kernel, blocks_for(w.elements(), threads), threads, 0, on("adamw_coded"),
         AdamWFactors{s, s.lr / s.correction1, 1.f / std::sqrt(s.correction2)}, rounding, w.elements(), w.cols,
         active.row(0), w.row(0), g.row(0), m.row<uint8_t>(0), m_scales.row(0), v.row<uint8_t>(0), v_scales.row(0));
}

}  // namespace shear::cuda
