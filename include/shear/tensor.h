// A tensor: a shape over shared bytes, contiguous and row-major, with a serial number that names its value.
//
// Tensors that share bytes are for one thread at a time, as their device is: copies count each other without a lock.
#pragma once
#include <cstdint>

#include "shear/api.h"
#include "shear/shape.h"
#include "shear/storage.h"

namespace SHEAR_API shear {

// Where the gradient of a value is gathered during backward.  Holds no data; -1: nobody asked for it.
struct Slot {
  int id = -1;
  uint32_t pass = 0;  // of which tape, between which of its resets
  bool wanted() const { return id >= 0; }
};

class Tensor {
 public:
  Tensor() = default;
  Tensor(Allocator& from, const Shape&, DType, Category);  // contents undefined

  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  int64_t elements() const { return shape_.elements(); }
  int64_t rows() const { return shape_.rows(); }
  int64_t cols() const { return shape_.cols(); }
  size_t bytes() const { return static_cast<size_t>(elements()) * size_of(dtype_); }

  // Unchecked access; device memory may only be read by its backend.
  template <class T = float>
  T* data() const {
    return static_cast<T*>(storage_.data());
  }
  const Storage& storage() const { return storage_; }
  explicit operator bool() const { return static_cast<bool>(storage_); }  // an empty tensor has no bytes

  // Names the value.  An address would not do: once a value is packed its address is used again.
  uint64_t serial() const { return serial_; }
  Slot slot;

  // The same value under another shape of as many elements: same bytes, serial and slot.
  Tensor reshaped(const Shape&) const;
  // A new value in the same bytes, to be written over the old one.
  Tensor renamed() const;

 private:
  Storage storage_;
  Shape shape_;
  DType dtype_ = DType::f32;
  uint64_t serial_ = 0;
};

// A trainable value and its gradient.  `grad` is allocated by the optimizer's owner before the first backward.
struct Param {
  std::string name;  // as timm names it: "blocks.3.mlp.fc1.weight"
  Tensor value;      // f32; or bf16, see WeightsAs
  Tensor fine;       // u8, of as many elements: what bf16 leaves out, see WeightView; empty: nothing
  Tensor grad;       // same shape, f32
  bool trainable = true;
  int block = -1;                            // of the model, numbered as its segments; -1: of none
  bool head = false;                         // of the last layer, whose rows are the classes
  bool low_rank = false;                     // added by LoRA, see Parameters::adapt: in no file of a library
  bool decay = true;                         // whether weight decay applies: not to biases, norms and embeddings
  int64_t still_first = 0, still_count = 0;  // elements that no gradient reaches: they stay as they are
  int writes = 0;  // times a gradient was added since the last optimizer step; 0: grad holds nothing yet
  Tensor active;   // (columns) f32: at 0 the optimizer leaves a column and its state alone; empty: it updates all
};

}  // namespace shear
