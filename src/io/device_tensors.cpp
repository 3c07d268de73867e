// Tensors of a device on their way to and from files.
#include "io/device_tensors.h"

#include "shear/backend.h"

namespace shear {

void read_tensor(const TensorFile& file, const TensorView& from, Device& device, const Tensor& into) {
  if (from.dtype == into.dtype()) return device.run().upload(into.data<void>(), from.bytes.data(), into.bytes());
  const std::vector<float> values = read_floats(file, from);
  device.run().upload(into.data<void>(), values.data(), into.bytes());
}

void TensorList::add(std::string name, const Tensor& t) {
  const void* data = t.data<void>();
  if (!device_.run().on_host()) {
    std::vector<char>& copy = copies_.emplace_back(t.bytes());
    device_.run().download(copy.data(), data, copy.size());
    data = copy.data();
  }
  tensors_.push_back({std::move(name), t.dtype(), t.shape(), data});
}

}  // namespace shear
