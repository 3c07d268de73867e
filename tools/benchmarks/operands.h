// What an operator is measured on: matrices in a device's memory.
#pragma once
#include <vector>

#include "shear/backend.h"
#include "shear/device.h"

namespace shear::tool {

// One set of operands; they live as long as it does.
class Operands {
 public:
  explicit Operands(Device& device) : device_(device) {}
  Backend& run() const { return device_.run(); }

  View random(int64_t rows, int64_t cols);  // normal values
  View room(int64_t rows, int64_t cols, DType = DType::f32);
  View choice(int64_t k, int64_t n);  // one row: k of 0 ... n - 1, ascending
  View ones(int64_t n);               // one row
  // A matrix asleep, with room for what its code and mask need; kept: of each sample's values, 0: no mask.
  PackedView asleep(Code, int64_t rows, int64_t cols, int64_t sample_rows, int64_t kept = 0, int64_t group = 0);
  void wait() const;  // until the device has done all that it was told to do

 private:
  Device& device_;
  std::vector<Tensor> held_;
};

}  // namespace shear::tool
