// The CPU backend: Eigen's GEMM kernel in gemm.cpp, OpenMP loops for the rest, a file per family.
//
// Results depend on shapes alone, neither on timing nor on the number of threads: a sum that threads share is cut into
// parts that follow from its shape, and the parts are added in their order.  (A BLAS, where Shear was built with one,
// splits products its own way.)
#pragma once
#include <vector>

#include "shear/backend.h"

namespace shear::cpu {

// Panels that the GEMM packs its operands into, one set per thread.
class PackBuffer {
 public:
  // Multiplications are accumulated over blocks of `depth` at a time.  The order of summation over a long inner
  // dimension therefore does not change when a caller cuts it into bands of a multiple of `depth` rows.
  static constexpr int64_t wide = 192, depth = 576, long_side = 1024;
  static constexpr size_t bytes = static_cast<size_t>(wide * depth + depth * long_side) * sizeof(float);

  explicit PackBuffer(Allocator&);
  float* left() const { return static_cast<float*>(storage_.data()); }
  float* right() const { return left() + wide * depth; }

 private:
  Storage storage_;
};

// c = op(a) op(b) + beta * c (+ bias on every row) on the calling thread.
void gemm_serial(Transposed ta, ConstView a, Transposed tb, ConstView b, float beta, View c, ConstView bias,
                 PackBuffer&);

// A slice [first, first + count) of n, the part of thread `index` of `parts`, in multiples of `grain`.
struct Slice {
  int64_t first, count;
};
Slice slice(int64_t n, int64_t grain, int64_t index, int64_t parts);

class CpuBackend final : public Backend {
 public:
  CpuBackend(int threads, Precision);

  std::string_view name() const override { return "cpu"; }
  Precision precision() const override { return precision_; }
  Allocator& memory() override { return memory_; }
  size_t slab_bytes() const override;  // the machine's memory, or what limits leave: reserved, not touched
  size_t resident_bytes() const override { return packs_.size() * PackBuffer::bytes; }

  void upload(void* device, const void* host, size_t bytes) override;
  void download(void* host, const void* device, size_t bytes) override;
  void fill(View out, float value) override;
  void copy(ConstView x, float beta, View out) override;

  void gemm(Transposed, ConstView a, Transposed, ConstView b, float beta, View c, ConstView bias) override;
  void column_sums(ConstView x, float beta, View out) override;
  double sum_squares(ConstView x) override;

  void add(ConstView a, ConstView b, View out) override;
  void add_row(ConstView x, ConstView row, View out) override;
  void multiply(ConstView a, ConstView b, float beta, View out) override;
  void relu(ConstView x, View y) override;
  void relu_grad(ConstView y, ConstView dy, float beta, View dx) override;
  void gelu(GeluForm, ConstView x, View y) override;
  void gelu_grad(GeluForm, ConstView x, ConstView dy, float beta, View dx) override;
  void dropout(ConstView x, float p, StreamKey, float beta, View y) override;

  void layernorm(ConstView x, ConstView gamma, ConstView beta, float epsilon, View y, View mean, View rstd) override;
  void layernorm_apply(ConstView x, ConstView mean, ConstView rstd, ConstView gamma, ConstView beta, View y) override;
  void layernorm_grad(ConstView x, ConstView mean, ConstView rstd, ConstView gamma, ConstView dy, float beta_dx,
                      View dx, float beta_params, View dgamma, View dbeta, View scratch) override;
  int64_t layernorm_scratch(int64_t cols) const override;

  void cross_entropy(ConstView logits, ConstView labels, float smoothing, View losses) override;
  void cross_entropy_grad(ConstView logits, ConstView labels, float smoothing, float scale, ConstView dloss, float beta,
                          View dlogits) override;
  void mean(ConstView x, View out) override;

  void attention(const HeadGrid&, ConstView qkv, View context, View log_sum_exp, View probabilities,
                 View scratch) override;
  void attention_grad(const HeadGrid&, ConstView qkv, ConstView log_sum_exp, ConstView probabilities,
                      ConstView dcontext, View dqkv, View scratch) override;
  int64_t attention_scratch(const HeadGrid&) const override;

  void pack(const PackSource&, const PackedView& out, View scratch) override;
  int64_t pack_scratch(int64_t cols) const override;
  void unpack(const PackedView&, int64_t first_row, View out) override;
  void gather_rows(ConstView x, ConstView index, ConstView scale, View out) override;
  void scatter_columns(ConstView x, ConstView index, ConstView scale, float beta, View out) override;
  void column_square_sums(ConstView x, View out) override;

  void gather_patches(const PatchGrid&, ConstView images, int64_t first, View out) override;

  void sgd(const SgdStep&, View w, ConstView g, View velocity, ConstView active) override;
  void adamw(const AdamWStep&, View w, ConstView g, View m, View v, ConstView active) override;

 private:
  static constexpr size_t rows_at_once = 4096;  // whose sums wait to be added

  int threads_;
  Precision precision_;
  HostAllocator memory_;
  std::vector<PackBuffer> packs_;  // one per thread
  std::vector<double> row_sums_;   // of sum_squares
};

}  // namespace shear::cpu
