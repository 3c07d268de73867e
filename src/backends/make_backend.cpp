// The backend of a device.  The one place that knows which were built.
#include "shear/make_backend.h"
#include "shear/error.h"
#include "shear/threads.h"

namespace shear {

static std::unique_ptr<Backend> cuda_backend([[maybe_unused]] Precision precision, [[maybe_unused]] CudaUse use) {
#ifdef SHEAR_CUDA
  return make_cuda_backend(precision, use);
#else
  fail(Fault::device, setting("device"), " cuda: this build has no CUDA backend, expected ", setting("device"), " cpu");
#endif
}

std::unique_ptr<Backend> make_backend(DeviceKind kind, int threads, Precision precision) {
  if (kind == DeviceKind::cuda) return cuda_backend(precision, CudaUse::compute);
  std::unique_ptr<Backend> cpu = make_cpu_backend(threads, precision);
  start_cpu_threads(threads > 0 ? threads : default_threads());
  return cpu;
}

std::unique_ptr<Backend> make_planning_backend(DeviceKind kind, int threads, Precision precision) {
  return make_shape_backend(kind == DeviceKind::cuda ? cuda_backend(precision, CudaUse::plan)
                                                     : make_cpu_backend(threads, precision));
}

Precision parse_precision(std::string_view name) {
  if (name == "f32") return Precision::f32;
  if (name == "bf16") return Precision::bf16;
  fail(Fault::usage, setting("precision"), " ", name, ": expected f32 or bf16");
}

}  // namespace shear
