// The gradient of attention, in three launches.
#include <cmath>

#include "backends/cuda/attention.h"
#include "backends/cuda/cuda_backend.h"
#include "kernels/attention_grad.cuh"

namespace shear::cuda {

namespace {

template <int D, bool R, From F>
void run(On on, const HeadGrid& g, const Relative& bias, const Inputs& in, const Known& known, View dqkv) {
  const int64_t tiles = tiles_of(g.tokens);
  const auto blocks = static_cast<unsigned>(g.batch * g.heads * tiles);
  const int per_head = static_cast<int>(tiles);
  const float scale = 1.f / std::sqrt(static_cast<float>(g.width));
  const Head head{g.tokens, g.heads, g.width};
  constexpr size_t three = 3 * TileOf<D>::floats * sizeof(float), scores = score_floats * sizeof(float);
  launch(dots_kernel<D, F, R>, blocks, attention_threads, three, on, head, per_head, scale, bias, in, known);
  launch(query_grad_kernel<D, F, R>, blocks, attention_threads, three + scores, on, head, per_head, scale, bias, in,
         known, dqkv.row(0), dqkv.stride);
  launch(key_value_grad_kernel<D, F, R>, blocks, attention_threads, three + scores, on, head, per_head, scale, bias, in,
         known, dqkv.row(0), dqkv.stride);
}

// `sums`: room for (H, N, N)
template <int D, From F>
void run_relative(On on, const HeadGrid& g, const Relative& bias, const Inputs& in, const Known& known, float* sums,
                  float beta, View drelative) {
  const int64_t tiles = tiles_of(g.tokens);
  const float scale = 1.f / std::sqrt(static_cast<float>(g.width));
  const Head head{g.tokens, g.heads, g.width};
  launch(score_sums_kernel<D, F>, dim3(static_cast<unsigned>(g.heads * tiles), static_cast<unsigned>(tiles)),
         attention_threads, 3 * TileOf<D>::floats * sizeof(float), on, head, static_cast<int>(tiles),
         static_cast<int>(g.batch), scale, bias, in, known, sums);
  const int64_t warps = g.heads * g.distances(), in_block = distance_threads / 32;
  launch(relative_sums_kernel, static_cast<unsigned>((warps + in_block - 1) / in_block), distance_threads, 0, on, head,
         bias, sums, beta, drelative.row(0), drelative.stride);
}

}  // namespace

int64_t CudaBackend::relative_scratch(const HeadGrid& g) const { return g.heads * g.tokens * g.tokens; }

void CudaBackend::attention_grad(const HeadGrid& g, ConstView qkv, ConstView relative, ConstView log_sum_exp,
                                 ConstView probabilities, ConstView dcontext, View dqkv, float beta, View drelative,
                                 View scratch) {
  const int64_t rows = g.batch * g.heads * g.tokens;
  const Inputs in{qkv.row(0), qkv.stride, dcontext.row(0), dcontext.stride};
  const Known known{probabilities.row(0), probabilities.stride,  log_sum_exp.row(0),       log_sum_exp.stride,
                    scratch.row(0),       scratch.row(0) + rows, scratch.row(0) + 2 * rows};
  const On here = on("attention_grad");
  const Relative bias = relative_of(g, relative);
  for_kind(g, relative, [&]<int D, bool R>() {
    const auto from = [&]<From F>() {
      run<D, R && F != From::given, F>(here, g, bias, in, known, dqkv);
      if constexpr (R)
        if (drelative.data) run_relative<D, F>(here, g, bias, in, known, scratch.row(0) + 3 * rows, beta, drelative);
    };
    if (probabilities.data)
      from.template operator()<From::given>();
    else if (log_sum_exp.data)
      from.template operator()<From::log_sum_exp>();
    else
      from.template operator()<From::anew>();
  });
}

}  // namespace shear::cuda
