// The header of a NumPy array: type, order and shape, as a Python dictionary.
#pragma once
#include <cstddef>
#include <span>
#include <string>

#include "shear/shape.h"

namespace shear {

struct NpyHeader {
  DType dtype = DType::f32;
  bool fortran_order = false;
  Shape shape;
  size_t bytes = 0;  // of the header: the values follow it
};

// `what` opens every sentence.  Throws Fault::input for anything but one of the types of DType, little-endian.
NpyHeader parse_npy(std::span<const std::byte> file, const std::string& what);

}  // namespace shear
