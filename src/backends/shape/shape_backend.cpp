// A backend that computes nothing and asks for the same bytes as another: the real tape runs on it to plan a step.
#include <limits>

#include "shear/backend.h"

namespace shear {

namespace {

class ShapeBackend final : public Backend {
 public:
  explicit ShapeBackend(std::unique_ptr<Backend> like) : like_(std::move(like)) {}

  std::string_view name() const override { return "shape"; }
  bool computes() const override { return false; }
  Precision precision() const override { return like_->precision(); }
  Allocator& memory() override { return memory_; }
  size_t slab_bytes() const override { return std::numeric_limits<size_t>::max() / 4; }
  size_t resident_bytes() const override { return like_->resident_bytes(); }
  int64_t layernorm_scratch(int64_t cols) const override { return like_->layernorm_scratch(cols); }
  int64_t attention_scratch(const HeadGrid& g) const override { return like_->attention_scratch(g); }

  void upload(void*, const void*, size_t) override {}
  void download(void*, const void*, size_t) override {}
  void fill(View, float) override {}
  void copy(ConstView, float, View) override {}
  void gemm(Transposed, ConstView, Transposed, ConstView, float, View, ConstView) override {}
  void column_sums(ConstView, float, View) override {}
  double sum_squares(ConstView) override { return 0; }
  void add(ConstView, ConstView, View) override {}
  void add_row(ConstView, ConstView, View) override {}
  void multiply(ConstView, ConstView, float, View) override {}
  void relu(ConstView, View) override {}
  void relu_grad(ConstView, ConstView, float, View) override {}
  void gelu(GeluForm, ConstView, View) override {}
  void gelu_grad(GeluForm, ConstView, ConstView, float, View) override {}
  void dropout(ConstView, float, StreamKey, float, View) override {}
  void layernorm(ConstView, ConstView, ConstView, float, View, View, View) override {}
  void layernorm_apply(ConstView, ConstView, ConstView, ConstView, ConstView, View) override {}
  void layernorm_grad(ConstView, ConstView, ConstView, ConstView, ConstView, float, View, float, View, View,
                      View) override {}
  void cross_entropy(ConstView, ConstView, float, View) override {}
  void cross_entropy_grad(ConstView, ConstView, float, float, ConstView, float, View) override {}
  void mean(ConstView, View) override {}
  void attention(const HeadGrid&, ConstView, View, View, View, View) override {}
  void attention_grad(const HeadGrid&, ConstView, ConstView, ConstView, ConstView, View, View) override {}
  void pack(const PackSource&, const PackedView&, View) override {}
  int64_t pack_scratch(int64_t cols) const override { return like_->pack_scratch(cols); }
  void unpack(const PackedView&, int64_t, View) override {}
  void gather_rows(ConstView, ConstView, ConstView, View) override {}
  void scatter_columns(ConstView, ConstView, ConstView, float, View) override {}
  void column_square_sums(ConstView, View) override {}
  void gather_patches(const PatchGrid&, ConstView, int64_t, View) override {}
  void sgd(const SgdStep&, View, ConstView, View, ConstView) override {}
  void adamw(const AdamWStep&, View, ConstView, View, View, ConstView) override {}

 private:
  std::unique_ptr<Backend> like_;
  ShapeAllocator memory_;
};

}  // namespace

std::unique_ptr<Backend> make_shape_backend(std::unique_ptr<Backend> like) {
  return std::make_unique<ShapeBackend>(std::move(like));
}

}  // namespace shear
