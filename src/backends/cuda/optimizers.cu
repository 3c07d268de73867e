// Optimizer updates, launched: a thread to an element, and to those a grid apart.
#include <cmath>

#include "backends/cuda/cuda_backend.h"
#include "kernels/optimizers.cuh"
#include "shear/error.h"

namespace shear::cuda {

namespace {

// launch_with(weights): the kernel for weights that sleep so.
template <class F>
void by_weights(const WeightView& w, F launch_with) {
  if (w.awake()) return launch_with(WholeWeights{w.value.row(0)});
  uint16_t* const value = w.value.row<uint16_t>(0);
  if (!w.fine.data) return launch_with(ShortWeights{value, w.rounding});
  launch_with(SplitWeights{value, w.fine.row<uint8_t>(0), w.rounding});
}

void check_weights(const char* op, const WeightView& w, ConstView active) {
  require(w.value.contiguous() && (!w.fine.data || (w.fine.contiguous() && w.fine.elements() == w.elements())), op,
          ": weights of two sizes, or in rows apart");
  require(!active.data || active.elements() == w.value.cols, op, ": ", active.elements(), " flags for ", w.value.cols,
          " columns");
}

template <class Step, class... State>
void run(On on, const Step& step, const WeightView& w, ConstView g, ConstView active, State... state) {
  const int64_t n = w.elements();
  require(n == g.elements() && ((n == state.elements()) && ...), on.op, ": sizes differ");
  check_weights(on.op, w, active);
  by_weights(w, [&]<class Weights>(const Weights& weights) {
    launch(update_kernel<Step, Weights, decltype(state.row(0))...>, blocks_for(n, threads), threads, 0, on, step, n,
           w.value.cols, active.row(0), weights, g.row(0), state.row(0)...);
  });
}

void check_coded(const char* op, const WeightView& w, ConstView g, ConstView codes, ConstView scales,
                 ConstView active) {
  require(w.elements() == g.elements() && w.elements() == codes.elements() &&
              state_blocks(w.elements()) == scales.elements(),
          op, ": sizes differ");
  check_weights(op, w, active);
}

}  // namespace

void CudaBackend::sgd(const SgdStep& s, const WeightView& w, ConstView g, View velocity, ConstView active) {
  run(on("sgd"), s, w, g, active, velocity);
}

void CudaBackend::adamw(const AdamWStep& s, const WeightView& w, ConstView g, View m, View v, ConstView active) {
  run(on("adamw"), AdamWFactors{s, s.lr / s.correction1, 1.f / std::sqrt(s.correction2)}, w, g, active, m, v);
}

void CudaBackend::sgd_coded(const SgdStep& s, const WeightView& w, ConstView g, View velocity, View scales,
                            ConstView active) {
  check_coded("sgd_coded", w, g, velocity, scales, active);
  by_weights(w, [&]<class Weights>(const Weights& weights) {
    launch(sgd_coded_kernel<Weights>, blocks_for(w.elements(), threads), threads, 0, on("sgd_coded"), s, w.elements(),
           w.value.cols, active.row(0), weights, g.row(0), velocity.row<uint8_t>(0), scales.row(0));
  });
}

void CudaBackend::adamw_coded(const AdamWStep& s, const StreamKey& rounding, const WeightView& w, ConstView g, View m,
                              View m_scales, View v, View v_scales, ConstView active) {
  check_coded("adamw_coded", w, g, m, m_scales, active);
  check_coded("adamw_coded", w, g, v, v_scales, active);
  by_weights(w, [&]<class Weights>(const Weights& weights) {
    launch(adamw_coded_kernel<Weights>, blocks_for(w.elements(), threads), threads, 0, on("adamw_coded"),
           AdamWFactors{s, s.lr / s.correction1, 1.f / std::sqrt(s.correction2)}, rounding, w.elements(), w.value.cols,
           active.row(0), weights, g.row(0), m.row<uint8_t>(0), m_scales.row(0), v.row<uint8_t>(0), v_scales.row(0));
  });
}

}  // namespace shear::cuda
