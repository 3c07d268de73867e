// A device's memory: a meter over a limit over (the model's heap, the step's slab).
#include "shear/device.h"

#include <limits>

#include "shear/backend.h"
#include "shear/error.h"

namespace shear {

Device::Device(std::unique_ptr<Backend> backend) : Device(std::move(backend), Options{}) {}

Device::Device(std::unique_ptr<Backend> backend, const Options& options) : backend_(std::move(backend)) {
  Allocator& memory = backend_->memory();
  const size_t limit = options.memory_limit == 0 ? std::numeric_limits<size_t>::max() : options.memory_limit;
  const bool backed = backend_->computes() && backend_->on_host();
  arena_ = options.step_bytes > 0 ? std::make_unique<Arena>(memory, options.step_bytes, backed)
                                  : std::make_unique<Arena>(
                                        memory, [of = backend_.get()] { return of->slab_bytes(); }, backed);
  split_ = std::make_unique<Split>(memory, *arena_);
  limit_ = std::make_unique<Limit>(*split_, limit);
  meter_ = std::make_unique<Meter>(*limit_);
}

Device::~Device() = default;

Tensor Device::empty(const Shape& shape, Category category, DType dtype) { return {*meter_, shape, dtype, category}; }

template <class T>
static Tensor uploaded(Device& device, const Shape& shape, Category category, DType type, std::span<const T> values) {
  require(static_cast<int64_t>(values.size()) == shape.elements(), "upload: ", values.size(),
          " values for a tensor of ", shape);
  Tensor t = device.empty(shape, category, type);
  device.run().upload(t.data<void>(), values.data(), t.bytes());
  return t;
}

Tensor Device::upload(const Shape& shape, Category category, std::span<const float> values) {
  return uploaded(*this, shape, category, DType::f32, values);
}

Tensor Device::upload(const Shape& shape, Category category, std::span<const int32_t> values) {
  return uploaded(*this, shape, category, DType::i32, values);
}

std::vector<float> Device::download(const Tensor& t) {
  require(static_cast<bool>(t), "download: the tensor is empty, expected a value");
  require(owns(t), "download: the tensor lies on another device");
  require(t.dtype() == DType::f32, "download: f32 expected, found ", name(t.dtype()));
  std::vector<float> values(static_cast<size_t>(t.elements()));
  backend_->download(values.data(), t.data<void>(), t.bytes());
  return values;
}

MemoryUse Device::peak() const {
  MemoryUse use;
  use.parameters = meter_->at_peak(Category::parameters);
  use.gradients = meter_->at_peak(Category::gradients);
  use.optimizer = meter_->at_peak(Category::optimizer);
  use.saved = meter_->at_peak(Category::saved);
  // With the slab's holes, which are in nobody else's hands.
  use.workspace = arena_->high_water() - use.saved + backend_->resident_bytes();
  use.peak = use.parameters + use.gradients + use.optimizer + use.saved + use.workspace;
  return use;
}

void Device::restart_peak() {
  meter_->restart_peak();
  arena_->restart_high_water();
}

}  // namespace shear
