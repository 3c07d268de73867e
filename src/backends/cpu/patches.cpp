// Cutting images into patches.
#include <cstring>

#include "backends/cpu/cpu_backend.h"

namespace shear::cpu {

void CpuBackend::gather_patches(const PatchGrid& g, ConstView images, int64_t first, View out) {
  const float* pixels = images.row(0);
  const int64_t side = g.patch;
#pragma omp parallel for num_threads(threads_) schedule(static) if (out.elements() > 16384)
  for (int64_t i = 0; i < out.rows; ++i) {
    const int64_t image = (first + i) / g.count(), place = (first + i) % g.count();
    const int64_t top = place / g.across() * side, left = place % g.across() * side;
    float* to = out.row(i);
    for (int64_t c = 0; c < g.channels; ++c)
      for (int64_t y = 0; y < side; ++y, to += side)
        std::memcpy(to, pixels + ((image * g.channels + c) * g.height + top + y) * g.width + left,
                    static_cast<size_t>(side) * sizeof(float));
  }
}

}  // namespace shear::cpu
