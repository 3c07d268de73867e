// A backend that computes nothing and asks for the same bytes as another: the real tape runs on it to plan a step.
#include <limits>

#include "shear/make_backend.h"

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
  void upload(void*, const void*, size_t) override {}
  void download(void*, const void*, size_t) override {}

  // Every kernel does nothing; how much room it wants is the other backend's to say.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define SHEAR_KERNEL(result, name, parameters, names) \
  result name parameters override { return result(); }
#define SHEAR_SCRATCH(name, type, of) \
  int64_t name(type of) const override { return like_->name(of); }
#include "shear/kernels/list.inc"
#pragma GCC diagnostic pop

 private:
  std::unique_ptr<Backend> like_;
  ShapeAllocator memory_;
};

}  // namespace

std::unique_ptr<Backend> make_shape_backend(std::unique_ptr<Backend> like) {
  return std::make_unique<ShapeBackend>(std::move(like));
}

}  // namespace shear
