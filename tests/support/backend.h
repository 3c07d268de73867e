// The backend that the tests run on: the CPU's, or CUDA's where the environment says SHEAR_TEST_DEVICE=cuda.
#pragma once
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "shear/device.h"
#include "shear/make_backend.h"

namespace shear::test {

inline DeviceKind test_device() {
  const char* device = std::getenv("SHEAR_TEST_DEVICE");
  return device && std::string_view(device) == "cuda" ? DeviceKind::cuda : DeviceKind::cpu;
}

inline std::unique_ptr<Backend> test_backend(int threads) { return make_backend(test_device(), threads); }

// For a test of several devices at a time: unplanned, each would take half of a GPU.
inline constexpr Device::Options small_step{.step_bytes = size_t{64} << 20};

template <class T>
std::vector<T> downloaded(Device& device, const Tensor& t) {
  std::vector<T> values(static_cast<size_t>(t.elements()));
  device.run().download(values.data(), t.data<void>(), values.size() * sizeof(T));
  return values;
}

}  // namespace shear::test
