// Weights that sleep in fewer bits than f32.
#include "backends/cpu/weights.h"

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/pieces.h"
#include "shear/error.h"

namespace shear::cpu {

void CpuBackend::wake_weights(ConstView value, ConstView fine, View out) {
  const int64_t n = out.elements();
  require(value.elements() == n && (!fine.data || fine.elements() == n) && value.contiguous() && fine.contiguous() &&
              ConstView(out).contiguous(),
          "wake_weights: sizes differ, or rows are apart");
  const uint8_t* behind = fine.data ? fine.row<uint8_t>(0) : nullptr;
  pieces(threads_, 1, n, [=](int64_t, int64_t first, int64_t count) {
    wake(value.row<uint16_t>(0) + first, behind ? behind + first : nullptr, count, out.row(0) + first);
  });
}

}  // namespace shear::cpu
