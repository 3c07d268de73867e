// Attention, launched: a block to 32 queries of one head.
#include <cmath>

#include "backends/cuda/attention.h"
#include "backends/cuda/cuda_backend.h"
#include "kernels/attention.cuh"

namespace shear::cuda {

// Three numbers for each row of scores: its maximum, one over its sum, and what its gradient's rows sum to.
int64_t CudaBackend::attention_scratch(const HeadGrid& g) const { return 3 * g.batch * g.heads * g.tokens; }

void CudaBackend::attention(const HeadGrid& g, ConstView qkv, ConstView relative, View context, View log_sum_exp,
                            View probabilities, View scratch) {
  const int64_t tiles = tiles_of(g.tokens), rows = g.batch * g.heads * g.tokens;
  const auto blocks = static_cast<unsigned>(g.batch * g.heads * tiles);
  const float scale = 1.f / std::sqrt(static_cast<float>(g.width));
  const Head head{g.tokens, g.heads, g.width};
  const Relative bias = relative_of(g, relative);
  const bool whole = probabilities.data != nullptr;
  float *maxima = whole ? scratch.row(0) : nullptr, *inverses = whole ? scratch.row(0) + rows : nullptr;
  for_kind(g, relative, [&]<int D, bool R>() {
    launch(attention_kernel<D, R>, blocks, attention_threads, (2 * TileOf<D>::floats + score_floats) * sizeof(float),
           on("attention"), head, static_cast<int>(tiles), scale, bias, qkv.row(0), qkv.stride, context.row(0),
           context.stride, log_sum_exp.row(0), log_sum_exp.stride, maxima, inverses);
    if (whole)
      launch(probabilities_kernel<D, R>, dim3(blocks, static_cast<unsigned>(tiles)), attention_threads,
             2 * TileOf<D>::floats * sizeof(float), on("attention"), head, static_cast<int>(tiles), scale, bias,
             qkv.row(0), qkv.stride, maxima, inverses, probabilities.row(0), probabilities.stride);
  });
}

}  // namespace shear::cuda
