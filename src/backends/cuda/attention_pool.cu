// Attention of one query over the tokens of each sequence, launched: a block to a head of one of them.
#include <cmath>

#include "backends/cuda/cuda_backend.h"
#include "kernels/attention_pool.cuh"

namespace shear::cuda {

// Probabilities, and what their gradient is.
int64_t CudaBackend::attention_pool_scratch(const HeadGrid& g) const { return 2 * g.batch * g.heads * g.tokens; }

void CudaBackend::attention_pool(const HeadGrid& g, int64_t first, ConstView query, ConstView kv, View context,
                                 View scratch) {
  launch(attention_pool_kernel, static_cast<unsigned>(g.batch * g.heads), pool_threads, 0, on("attention_pool"),
         PoolHead{g.tokens, first, g.heads, g.width}, 1.f / std::sqrt(static_cast<float>(g.width)), query.row(0),
         kv.row(0), kv.stride, context.row(0), context.stride, scratch.row(0));
}

void CudaBackend::attention_pool_grad(const HeadGrid& g, int64_t first, ConstView query, ConstView kv,
                                      ConstView dcontext, View dquery, View dkv, View scratch) {
  launch(attention_pool_grad_kernel, static_cast<unsigned>(g.batch * g.heads), pool_threads, 0,
         on("attention_pool_grad"), PoolHead{g.tokens, first, g.heads, g.width},
         1.f / std::sqrt(static_cast<float>(g.width)), query.row(0), kv.row(0), kv.stride, dcontext.row(0),
         dcontext.stride, dquery.row(0), dquery.stride, dkv.row(0), dkv.stride, scratch.row(0));
}

}  // namespace shear::cuda
