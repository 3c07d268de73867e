// CSV of images.
#include "input.h"
#include "samples.h"

using namespace shear;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::open_and_read(fuzz::as_file(data, size), "csv");
  return 0;
}
