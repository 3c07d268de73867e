// Tensors.
#include "shear/tensor.h"

#include <atomic>

#include "shear/error.h"

namespace shear {

// No two values of a process have the same, whichever threads made them.
static uint64_t next_serial() {
  static std::atomic<uint64_t> last = 0;
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

Tensor::Tensor(Allocator& from, const Shape& shape, DType dtype, Category category)
    : storage_(from, static_cast<size_t>(shape.elements()) * size_of(dtype), category),
      shape_(shape),
      dtype_(dtype),
      serial_(next_serial()) {}

Tensor Tensor::reshaped(const Shape& shape) const {
  require(shape.elements() == elements(), "reshape: ", shape_, " does not have the elements of ", shape);
  Tensor t = *this;
  t.shape_ = shape;
  return t;
}

Tensor Tensor::renamed() const {
  Tensor t = *this;
  t.serial_ = next_serial();
  t.slot = {};
  return t;
}

}  // namespace shear
