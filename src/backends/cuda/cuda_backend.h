// The CUDA backend: cuBLAS for products of matrices, own kernels for the rest, a file per family in kernels/.
//
// Everything runs on one stream, in the order of the calls; only `download` and what returns a number wait for it.
// What is uploaded is copied to the device by a second stream, beside the kernels that were started before.
// Results depend on shapes alone: sums are taken in two passes, the second in a fixed order.
#pragma once
#include "backends/cuda/launch.h"
#include "backends/cuda/runtime.h"
#include "shear/backend.h"

namespace shear::cuda {

class CudaBackend final : public Backend {
 public:
  CudaBackend(Precision, CudaUse);  // on the first device; throws Fault::device where there is none

  std::string_view name() const override { return "cuda"; }
  Precision precision() const override { return precision_; }
  Allocator& memory() override { return device_->memory; }
  bool on_host() const override { return false; }
  size_t slab_bytes() const override;
  size_t resident_bytes() const override {
    return workspace_bytes + partial_bytes + Uploads::room_bytes + rounded_bytes();
  }

  // -- cuda_backend.cpp ---------------------------------------------------------------------------------------------
  void upload(void* device, const void* host, size_t bytes) override;
  void download(void* host, const void* device, size_t bytes) override;

  // -- gemm.cpp -----------------------------------------------------------------------------------------------------
  void gemm(Transposed, ConstView a, Transposed, ConstView b, float beta, View c, ConstView bias) override;

  // -- kernels/elementwise.cu ---------------------------------------------------------------------------------------
  void fill(View out, float value) override;
  void copy(ConstView x, float beta, View out) override;
  void add(ConstView a, ConstView b, View out) override;
  void add_row(ConstView x, ConstView row, View out) override;
  void multiply(ConstView a, ConstView b, float beta, View out) override;
  void relu(ConstView x, View y) override;
  void relu_grad(ConstView y, ConstView dy, float beta, View dx) override;
  void gelu(GeluForm, ConstView x, View y) override;
  void gelu_grad(GeluForm, ConstView x, ConstView dy, float beta, View dx) override;
  void dropout(ConstView x, float p, StreamKey, float beta, View y) override;

  // -- kernels/layernorm.cu -----------------------------------------------------------------------------------------
  void layernorm(ConstView x, ConstView gamma, ConstView beta, float epsilon, View y, View mean, View rstd) override;
  void layernorm_apply(ConstView x, ConstView mean, ConstView rstd, ConstView gamma, ConstView beta, View y) override;
  void layernorm_grad(ConstView x, ConstView mean, ConstView rstd, ConstView gamma, ConstView dy, float beta_dx,
                      View dx, float beta_params, View dgamma, View dbeta, View scratch) override;
  int64_t layernorm_scratch(int64_t cols) const override;

  // -- kernels/sums.cu ----------------------------------------------------------------------------------------------
  void column_sums(ConstView x, float beta, View out) override;
  double sum_squares(ConstView x) override;
  void mean(ConstView x, View out) override;

  // -- kernels/loss.cu ----------------------------------------------------------------------------------------------
  void cross_entropy(ConstView logits, ConstView labels, float smoothing, View losses) override;
  void cross_entropy_grad(ConstView logits, ConstView labels, float smoothing, float scale, ConstView dloss, float beta,
                          View dlogits) override;

  // -- kernels/attention.cu, kernels/attention_grad.cu --------------------------------------------------------------
  void attention(const HeadGrid&, ConstView qkv, View context, View log_sum_exp, View probabilities,
                 View scratch) override;
  void attention_grad(const HeadGrid&, ConstView qkv, ConstView log_sum_exp, ConstView probabilities,
                      ConstView dcontext, View dqkv, View scratch) override;
  int64_t attention_scratch(const HeadGrid&) const override;

  // -- kernels/pack.cu, select.cu, codes.cu -------------------------------------------------------------------------
  void pack(const PackSource&, const PackedView& out, View scratch) override;
  int64_t pack_scratch(int64_t cols) const override;
  void unpack(const PackedView&, int64_t first_row, View out) override;

  // -- kernels/columns.cu -------------------------------------------------------------------------------------------
  void gather_rows(ConstView x, ConstView index, ConstView scale, View out) override;
  void scatter_columns(ConstView x, ConstView index, ConstView scale, float beta, View out) override;
  void column_square_sums(ConstView x, View out) override;

  // -- kernels/patches.cu -------------------------------------------------------------------------------------------
  void gather_patches(const PatchGrid&, ConstView images, int64_t first, View out) override;

  // -- kernels/optimizers.cu ----------------------------------------------------------------------------------------
  void sgd(const SgdStep&, View w, ConstView g, View velocity, ConstView active) override;
  void adamw(const AdamWStep&, View w, ConstView g, View m, View v, ConstView active) override;

 private:
  static constexpr size_t workspace_bytes = size_t{8} << 20;  // cuBLAS asks for 4 MiB, on Hopper for up to 32
  static constexpr size_t partial_bytes = size_t{1} << 20;
  size_t rounded_bytes() const { return precision_ == Precision::bf16 ? size_t{4} << 20 : 0; }

  void multiply(Transposed, ConstView a, Transposed, ConstView b, float beta, View c);  // a and b of one type

  On on(const char* op) const { return {device_->stream.get(), op}; }
  // Room for the first pass of a sum; the next sum on the stream uses it again.
  template <class T>
  T* partial() const {
    return static_cast<T*>(device_->partial.data());
  }
  template <class T>
  static constexpr int64_t partial_room() {
    return static_cast<int64_t>(partial_bytes / sizeof(T));
  }

  // What is opened with the device.
  struct Opened {
    DeviceMemory memory;
    Stream stream;
    Uploads uploads{memory};
    Cublas cublas;
    Storage workspace;  // cuBLAS's
    Storage partial;    // of sums in two passes
    Storage rounded;    // bands of f32 matrices that meet one in bf16
    ~Opened();
  };

  Precision precision_;
  std::unique_ptr<Opened> device_;  // null where only sizes are asked for
};

}  // namespace shear::cuda
