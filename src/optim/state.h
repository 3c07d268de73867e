// What an optimizer keeps beside each parameter.
#pragma once
#include "shear/backend.h"
#include "shear/error.h"
#include "shear/optim.h"

namespace shear {

// A tensor of zeros of the parameter's shape, counted as optimizer state.
inline Tensor zeros_like(Device& device, const Param& p) {
  require(device.owns(p.value), "optimizer: parameter ", p.name, " lies on another device");
  Tensor t = device.empty(p.value.shape(), Category::optimizer);
  device.run().fill(t, 0);
  return t;
}

}  // namespace shear
