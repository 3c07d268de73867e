// Tensors of a device on their way to and from files.
#pragma once
#include <deque>

#include "shear/device.h"
#include "shear/io.h"

namespace shear {

// Copies a tensor of a file onto the device, floats as f32; shapes, and the type of what is none, are the caller's
// duty.
void read_tensor(const TensorFile&, const TensorView& from, Device&, const Tensor& into);

// A list for write_safetensors.  Where the host can read the device's memory nothing is copied.
class TensorList {
 public:
  explicit TensorList(Device& device) : device_(device) {}
  void add(std::string name, const Tensor&);  // must outlive the list
  std::span<const TensorToWrite> tensors() const { return tensors_; }

 private:
  Device& device_;
  std::deque<std::vector<char>> copies_;
  std::vector<TensorToWrite> tensors_;
};

}  // namespace shear
