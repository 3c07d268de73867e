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

static size_t bytes_of(const Shape& shape, DType dtype) {
  const int64_t elements = shape.elements();
  if (elements > int64_t{1} << 59)
    fail(Fault::memory, "out of memory: a tensor of ", shape, " has more bytes than a machine can address");
  return static_cast<size_t>(elements) * size_of(dtype);
}

Tensor::Tensor(Allocator& from, const Shape& shape, DType dtype, Category category)
    : storage_(from, bytes_of(shape, dtype), category), shape_(shape), dtype_(dtype), serial_(next_serial()) {}

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
