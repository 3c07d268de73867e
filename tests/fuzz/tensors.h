// Files of tensors: whatever the bytes are, the file opens or is refused with Fault::input, and what opens can be read.
#pragma once
#include "input.h"
#include "shear/error.h"
#include "shear/io.h"

namespace shear::fuzz {

template <class File>
int read_tensors(const uint8_t* data, size_t size) {
  try {
    const File file(as_file(data, size));
    uint64_t sum = 0, bytes = 0;
    for (const TensorView& t : file.tensors()) {
      if (file.find(t.name) != &t) std::abort();
      if (static_cast<size_t>(t.shape.elements()) * size_of(t.dtype) != t.bytes.size()) std::abort();
      for (const std::byte b : t.bytes) sum += std::to_integer<unsigned>(b);  // each byte can be read
      bytes += t.bytes.size();
    }
    if (sum > 255 * bytes) std::abort();
  } catch (const Error& e) {
    if (e.fault() != Fault::input) std::abort();
  }
  return 0;
}

}  // namespace shear::fuzz
