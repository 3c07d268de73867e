// The gradient of attention, in three launches.
#include <cmath>

#include "backends/cuda/attention.h"
#include "backends/cuda/cuda_backend.h"
#include "kernels/attention_grad.cuh"

namespace shear::cuda {

namespace {

template <int D, From F>
void run(On on, const HeadGrid& g, const Inputs& in, const Known& known, View dqkv) {
  const int64_t tiles = tiles_of(g.tokens);
  const auto blocks = static_cast<unsigned>(g.batch * g.heads * tiles);
  const int per_head = static_cast<int>(tiles);
  const float scale = 1.f / std::sqrt(static_cast<float>(g.width));
  const Head head{g.tokens, g.heads, g.width};
  constexpr size_t three = 3 * TileOf<D>::floats * sizeof(float), scores = score_floats * sizeof(float);
  launch(dots_kernel<D, F>, blocks, attention_threads, three, on, head, per_head, scale, in, known);
  launch(query_grad_kernel<D, F>, blocks, attention_threads, three + scores, on, head, per_head, scale, in, known,
         dqkv.row(0), dqkv.stride);
  launch(key_value_grad_kernel<D, F>, blocks, attention_threads, three + scores, on, head, per_head, scale, in, known,
         dqkv.row(0), dqkv.stride);
}

}  // namespace

void CudaBackend::attention_grad(const HeadGrid& g, ConstView qkv, ConstView log_sum_exp, ConstView probabilities,
                                 ConstView dcontext, View dqkv, View scratch) {
  const int64_t rows = g.batch * g.heads * g.tokens;
  const Inputs in{qkv.row(0), qkv.stride, dcontext.row(0), dcontext.stride};
  const Known known{probabilities.row(0), probabilities.stride,  log_sum_exp.row(0),       log_sum_exp.stride,
                    scratch.row(0),       scratch.row(0) + rows, scratch.row(0) + 2 * rows};
  const On here = on("attention_grad");
  for_width(g, [&]<int D>() {
    if (probabilities.data)
      run<D, From::given>(here, g, in, known, dqkv);
    else if (log_sum_exp.data)
      run<D, From::log_sum_exp>(here, g, in, known, dqkv);
    else
      run<D, From::anew>(here, g, in, known, dqkv);
  });
}

}  // namespace shear::cuda
