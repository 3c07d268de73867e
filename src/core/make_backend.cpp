// The backend of a device.  The one place that knows which were built.
#include "shear/backend.h"
#include "shear/error.h"

namespace shear {

std::unique_ptr<Backend> make_backend(DeviceKind kind, int threads) {
  if (kind == DeviceKind::cuda) {
#ifdef SHEAR_CUDA
    return make_cuda_backend();
#else
    fail(Fault::device, "--device cuda: this build has no CUDA backend, expected --device cpu");
#endif
  }
  return make_cpu_backend(threads);
}

}  // namespace shear
