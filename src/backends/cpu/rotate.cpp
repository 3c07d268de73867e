// Rotary position embeddings.
#include <algorithm>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/pieces.h"

namespace shear::cpu {

void CpuBackend::rotate(const HeadGrid& g, int64_t first, RotaryPairs pairs, bool back, ConstView sine,
                        ConstView cosine, ConstView x, float beta, View out) {
  const int64_t half = g.width / 2, apart = pairs == RotaryPairs::halves ? half : 1;
  const auto put = [beta](float& to, float value) { to = beta == 0 ? value : value + beta * to; };
#pragma omp parallel for num_threads(threads_) schedule(static) if (out.elements() > worth_threads)
  for (int64_t r = 0; r < out.rows; ++r) {
    const int64_t place = r % g.tokens - first;
    const float* from = x.row(r);
    float* to = out.row(r);
    for (int64_t c = place < 0 ? 0 : 2 * g.model(); c < out.cols; ++c) put(to[c], from[c]);
    if (place < 0) continue;
    const float *sin = sine.row(place), *cos = cosine.row(place);
    for (int64_t head = 0; head < 2 * g.heads; ++head, from += g.width, to += g.width)
      for (int64_t i = 0; i < half; ++i) {
        const int64_t a = apart == 1 ? 2 * i : i, b = a + apart;
        const float one = from[a], two = from[b];  // before either is written over
        put(to[a], back ? one * cos[a] + two * sin[b] : one * cos[a] - two * sin[a]);
        put(to[b], back ? two * cos[b] - one * sin[a] : two * cos[b] + one * sin[b]);
      }
  }
}

}  // namespace shear::cpu
