// Tensors of a device on their way to and from files.
#include "io/device_tensors.h"

#include "shear/backend.h"

namespace shear {

void read_tensor(const TensorFile& file, const TensorView& from, Device& device, const Tensor& into) {
  if (from.dtype == into.dtype()) {
    device.run().upload(into.data<void>(), from.bytes.data(), into.bytes());
    return file.let_go(from.bytes);
  }
  const std::vector<float> values = read_floats(file, from);
  device.run().upload(into.data<void>(), values.data(), into.bytes());
}

void TensorList::add(std::string name, const Tensor& t) {
  Device& device = device_;
  TensorToWrite& to = tensors_.emplace_back(TensorToWrite{std::move(name), t.dtype(), t.shape(), t.data<void>()});
  if (device.run().on_host()) return;
  to.data = nullptr;
  to.fill = [&device, t](std::span<std::byte> out) { device.run().download(out.data(), t.data<void>(), out.size()); };
}

// w += scale * b a
static void add_product(Device& device, const LowRank& l, std::span<float> w) {
  const std::vector<float> a = read_values(device, *l.a), b = read_values(device, *l.b);
  const auto rank = static_cast<size_t>(l.a->value.rows()), in = static_cast<size_t>(l.a->value.cols());
  for (size_t out = 0; out < w.size() / in; ++out)
    for (size_t r = 0; r < rank; ++r) {
      const float factor = l.scale * b[out * rank + r];
      for (size_t i = 0; i < in; ++i) w[out * in + i] += factor * a[r * in + i];
    }
}

void TensorList::add(const Param& p, const LowRank* added) {
  if (p.value.dtype() == DType::f32 && !added) return add(p.name, p.value);
  Device& device = device_;
  const auto fill = [&device, &p, added](std::span<std::byte> out) {
    const std::span<float> values(reinterpret_cast<float*>(out.data()), out.size() / sizeof(float));
    read_values(device, p, values);
    if (added) add_product(device, *added, values);
  };
  tensors_.push_back({p.name, DType::f32, p.value.shape(), nullptr, fill});
}

}  // namespace shear
