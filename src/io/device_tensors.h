// Tensors of a device on their way to and from files.
#pragma once

#include "shear/device.h"
#include "shear/io.h"
#include "shear/parameters.h"

namespace shear {

// Copies a tensor of a file onto the device, floats as f32; shapes, and the type of what is none, are the caller's
// duty.
void read_tensor(const TensorFile&, const TensorView& from, Device&, const Tensor& into);

// A list for write_safetensors.  Nothing is copied before its turn comes to be written.
class TensorList {
 public:
  explicit TensorList(Device& device) : device_(device) {}
  void add(std::string name, const Tensor&);
  // In f32, under its name, with what LoRA added to it, if anything: both must outlive the list.
  void add(const Param&, const LowRank* = nullptr);
  std::span<const TensorToWrite> tensors() const { return tensors_; }

 private:
  Device& device_;
  std::vector<TensorToWrite> tensors_;
};

}  // namespace shear
