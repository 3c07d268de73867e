// Rotary position embeddings.
#include <algorithm>
#include <cmath>

#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/pieces.h"

namespace shear::cpu {

void CpuBackend::rotate(const HeadGrid& g, int64_t first, RotaryPairs pairs, bool back, ConstView sine,
                        ConstView cosine, ConstView x, float beta, View out) {
  const int64_t half = g.width / 2, apart = pairs == RotaryPairs::halves ? half : 1,
                next = sine.cols > g.width ? g.width : 0;  // from a head's angles to those of the next
  const auto put = [beta](float& to, float value) { to = beta == 0 ? value : value + beta * to; };
#pragma omp parallel for num_threads(threads_) schedule(static) if (out.elements() > worth_threads)
  for (int64_t r = 0; r < out.rows; ++r) {
    const int64_t place = r % g.tokens - first;
    const float* from = x.row(r);
    float* to = out.row(r);
    for (int64_t c = place < 0 ? 0 : 2 * g.model(); c < out.cols; ++c) put(to[c], from[c]);
    if (place < 0) continue;
    for (int64_t head = 0; head < 2 * g.heads; ++head, from += g.width, to += g.width) {
      const int64_t angles = head % g.heads * next;
      const float *sin = sine.row(place) + angles, *cos = cosine.row(place) + angles;
      for (int64_t i = 0; i < half; ++i) {
        const int64_t a = apart == 1 ? 2 * i : i, b = a + apart;
        const float one = from[a], two = from[b];  // before either is written over
        put(to[a], back ? one * cos[a] + two * sin[b] : one * cos[a] - two * sin[a]);
        put(to[b], back ? two * cos[b] - one * sin[a] : two * cos[b] + one * sin[b]);
      }
    }
  }
}

void CpuBackend::sine_cosine(ConstView angles, View sine, View cosine) {
#pragma omp parallel for num_threads(threads_) schedule(static) if (angles.elements() > worth_threads / 8)
  for (int64_t r = 0; r < angles.rows; ++r)
    for (int64_t c = 0; c < angles.cols; ++c) {
      const float angle = angles.row(r)[c];
      sine.row(r)[2 * c] = sine.row(r)[2 * c + 1] = std::sin(angle);
      cosine.row(r)[2 * c] = cosine.row(r)[2 * c + 1] = std::cos(angle);
    }
}

void CpuBackend::rotate_angles_grad(const HeadGrid& g, int64_t first, ConstView y, ConstView dy, float beta, View out) {
  const int64_t pairs = g.model() / 2;
#pragma omp parallel for num_threads(threads_) schedule(static) if (y.elements() > worth_threads)
  for (int64_t n = 0; n < out.rows; ++n)
    for (int64_t c = 0; c < pairs; ++c) {
      float sum = 0;
      for (int64_t b = 0; b < g.batch; ++b) {
        const float *at = y.row(b * g.tokens + first + n) + 2 * c, *up = dy.row(b * g.tokens + first + n) + 2 * c;
        for (int64_t part = 0; part < 2; ++part, at += g.model(), up += g.model()) sum += up[1] * at[0] - up[0] * at[1];
      }
      float& to = out.row(n)[c];
      to = beta == 0 ? sum : sum + beta * to;
    }
}

}  // namespace shear::cpu
