// The backend of a device.  The one place that knows which were built.
#include "shear/backend.h"
#include "shear/error.h"

namespace shear {

std::unique_ptr<Backend> make_backend(DeviceKind kind, int threads, Precision precision) {
  if (kind == DeviceKind::cuda)
    fail(Fault::device, "--device cuda: this build has no CUDA backend, expected --device cpu");
  return make_cpu_backend(threads, precision);
}

Precision parse_precision(std::string_view name) {
  if (name == "f32") return Precision::f32;
  if (name == "bf16") return Precision::bf16;
  fail(Fault::usage, "--precision ", name, ": expected f32 or bf16");
}

}  // namespace shear
