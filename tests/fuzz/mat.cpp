// MAT-files: whatever the bytes are, a variable is read or refused with Fault::input.
#include "data/mat.h"
#include "input.h"
#include "shear/error.h"

using namespace shear;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  for (const char* variable : {"labels", "tstid", "single"}) {
    try {
      read_mat_vector(fuzz::as_file(data, size), variable);
    } catch (const Error& e) {
      if (e.fault() != Fault::input) std::abort();
    }
  }
  return 0;
}
