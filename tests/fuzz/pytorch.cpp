// PyTorch's files.
#include "tensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return shear::fuzz::read_tensors<shear::PyTorchFile>(data, size);
}
