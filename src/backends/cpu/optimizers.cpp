// Optimizer updates: one pass over a parameter, its gradient and its state.
#include <array>
#include <cmath>
#include <limits>

#include "backends/cpu/codes.h"
#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/pieces.h"
#include "backends/cpu/weights.h"
#include "shear/error.h"

namespace shear::cpu {

namespace {

// update(i) for every element, or for those in active columns.
template <class Update>
void each(int threads, View w, ConstView active, Update update) {
  const int64_t n = w.elements(), cols = w.cols;
  if (!active.data) {
    pieces(threads, 1, n, [=](int64_t, int64_t first, int64_t count) {
#pragma omp simd
      for (int64_t i = first; i < first + count; ++i) update(i);
    });
    return;
  }
  const float* on = active.row(0);
#pragma omp parallel for num_threads(threads) schedule(static) if (n > worth_threads)
  for (int64_t r = 0; r < w.rows; ++r)
    for (int64_t c = 0; c < cols; ++c)
      if (on[c] != 0) update(r * cols + c);
}

struct Sgd {
  SgdStep s;
  float* weight;
  const float* gradient;
  float* v;
  void operator()(int64_t i) const {
    const float d = gradient[i] * s.gradient_scale + s.weight_decay * weight[i];
    v[i] = s.momentum * v[i] + d;
    weight[i] -= s.lr * (s.nesterov ? d + s.momentum * v[i] : v[i]);
  }
};

struct AdamW {
  AdamWStep s;
  float step, root;  // of what is corrected for its start
  float* weight;
  const float* gradient;
  float *m, *v;
  AdamW(const AdamWStep& how, float* w, const float* g, float* first, float* second)
      : s(how),
        step(s.lr / s.correction1),
        root(1.f / std::sqrt(s.correction2)),
        weight(w),
        gradient(g),
        m(first),
        v(second) {}
  void operator()(int64_t i) const {
    const float d = gradient[i] * s.gradient_scale;
    m[i] = s.beta1 * m[i] + (1.f - s.beta1) * d;
    v[i] = s.beta2 * v[i] + (1.f - s.beta2) * d * d;
    weight[i] -= s.lr * s.weight_decay * weight[i];
    weight[i] -= step * m[i] / (std::sqrt(v[i]) * root + s.epsilon);
  }
};

// A block's state while it is awake, and what falls asleep of it.
struct Awake {
  float values[state_block];

  void decode_signed(const uint8_t* codes, int64_t n, float scale) {
    const float unit = scale / (127.f * 127.f);
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const auto k = static_cast<float>(codes[i] - 127);
      values[i] = k * std::fabs(k) * unit;
    }
  }
  void decode_unsigned(const uint8_t* codes, int64_t n, float scale) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const float k = static_cast<float>(codes[i]) / 255.f, square = k * k;
      values[i] = square * square * scale;
    }
  }
  // Returns the scale.
  float encode_signed(int64_t n, uint8_t* codes) const {
    const Range of = range(n);
    const float inverse = of.inverse;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const float root = std::sqrt(std::fabs(values[i]) * inverse) * 127.f;
      codes[i] = static_cast<uint8_t>(static_cast<int>(127.5f + std::copysign(root, values[i])));
    }
    return of.scale;
  }
  float encode_unsigned(int64_t n, const StreamKey& rounding, int64_t block, uint8_t* codes) const {
    static_assert(state_block % drawn == 0);
    const Range of = range(n);
    const float inverse = of.inverse;
    float chance[state_block];
    draw(rounding, static_cast<uint32_t>(block * state_block / 8), n, chance);
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const float share = values[i] * inverse;
      float k = std::min(static_cast<float>(static_cast<int>(std::sqrt(std::sqrt(share)) * 255.f)), 254.f);
      const float low = k / 255.f, high = (k + 1.f) / 255.f;
      const float below = low * low * low * low, above = high * high * high * high;
      k += chance[i] * (above - below) < share - below ? 1.f : 0.f;
      codes[i] = static_cast<uint8_t>(static_cast<int>(share > 0.f ? std::max(k, 1.f) : 0.f));
    }
    return of.scale;
  }

 private:
  struct Range {
    float scale, inverse;
  };
  Range range(int64_t n) const {
    float top = 0;
#pragma omp simd reduction(max : top)
    for (int64_t i = 0; i < n; ++i) top = std::max(top, std::fabs(values[i]));
    return top >= std::numeric_limits<float>::min() ? Range{top, 1.f / top} : Range{0.f, 0.f};
  }
};

// f(block, first, count) for the blocks of n values of state, then update(i) of those that are not left alone.
template <class F>
void each_block(int threads, int64_t n, F f) {
#pragma omp parallel for num_threads(threads) schedule(static) if (n > worth_threads)
  for (int64_t b = 0; b < state_blocks(n); ++b) f(b, b * state_block, std::min(state_block, n - b * state_block));
}

template <class Update>
void each_of(int64_t first, int64_t count, ConstView active, Update update) {
  if (!active.data) {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) update(i);
    return;
  }
  const float* on = active.row(0);
  const int64_t cols = active.elements();
  for (int64_t i = 0; i < count; ++i)
    if (on[(first + i) % cols] != 0) update(i);
}

// The weights of a block: where they lie, or awake in a room of their own.
class BlockWeights {
 public:
  BlockWeights(const WeightView& w, int64_t block, int64_t first, int64_t n)
      : of_(w), block_(block), first_(first), n_(n) {
    if (!w.awake()) wake(w.value.row<uint16_t>(0) + first, fine(), n, room_.data());
  }
  float* data() { return of_.awake() ? of_.value.row(0) + first_ : room_.data(); }
  void sleep() {
    if (of_.awake()) return;
    uint32_t up[state_block];
    draw_halves(of_.rounding, static_cast<uint32_t>(block_ * state_block / 8), n_, up);
    uint16_t* value = of_.value.row<uint16_t>(0) + first_;
    if (uint8_t* behind = fine()) {
#pragma omp simd
      for (int64_t i = 0; i < n_; ++i) {
        const SplitWeight w = split_weight(room_[static_cast<size_t>(i)], up[i] >> 8);
        value[i] = w.coarse;
        behind[i] = w.fine;
      }
    } else {
#pragma omp simd
      for (int64_t i = 0; i < n_; ++i) value[i] = short_weight(room_[static_cast<size_t>(i)], up[i]);
    }
  }

 private:
  uint8_t* fine() const { return of_.fine.data ? of_.fine.row<uint8_t>(0) + first_ : nullptr; }

  const WeightView& of_;
  int64_t block_, first_, n_;
  std::array<float, state_block> room_;
};

// update_of(weights, first) updates each(i), i counted from `first`; the blocks of weights wake for it.
template <class UpdateOf>
void each_asleep(int threads, const WeightView& w, ConstView active, UpdateOf update_of) {
  each_block(threads, w.elements(), [&](int64_t block, int64_t first, int64_t count) {
    BlockWeights weights(w, block, first, count);
    each_of(first, count, active, update_of(weights.data(), first));
    weights.sleep();
  });
}

void check_weights(const char* name, const WeightView& w, ConstView active) {
  require(w.value.contiguous() && (!w.fine.data || (w.fine.contiguous() && w.fine.elements() == w.elements())), name,
          ": weights of two sizes, or in rows apart");
  require(!active.data || active.elements() == w.value.cols, name, ": ", active.elements(), " flags for ", w.value.cols,
          " columns");
}

void check_coded(const char* name, const WeightView& w, ConstView g, ConstView codes, ConstView scales,
                 ConstView active) {
  require(w.elements() == g.elements() && w.elements() == codes.elements() &&
              state_blocks(w.elements()) == scales.elements(),
          name, ": sizes differ");
  check_weights(name, w, active);
}

}  // namespace

void CpuBackend::sgd(const SgdStep& s, const WeightView& w, ConstView g, View velocity, ConstView active) {
  require(w.elements() == g.elements() && w.elements() == velocity.elements(), "sgd: sizes differ");
  check_weights("sgd", w, active);
  if (w.awake()) return each(threads_, w.value, active, Sgd{s, w.value.row(0), g.row(0), velocity.row(0)});
  each_asleep(threads_, w, active, [&](float* weights, int64_t first) {
    return Sgd{s, weights, g.row(0) + first, velocity.row(0) + first};
  });
}

void CpuBackend::adamw(const AdamWStep& s, const WeightView& w, ConstView g, View m, View v, ConstView active) {
  require(w.elements() == g.elements() && w.elements() == m.elements() && w.elements() == v.elements(),
          "adamw: sizes differ");
  check_weights("adamw", w, active);
  if (w.awake()) return each(threads_, w.value, active, AdamW(s, w.value.row(0), g.row(0), m.row(0), v.row(0)));
  each_asleep(threads_, w, active, [&](float* weights, int64_t first) {
    return AdamW(s, weights, g.row(0) + first, m.row(0) + first, v.row(0) + first);
  });
}

void CpuBackend::sgd_coded(const SgdStep& s, const WeightView& w, ConstView g, View velocity, View scales,
                           ConstView active) {
  check_coded("sgd_coded", w, g, velocity, scales, active);
  each_block(threads_, w.elements(), [&](int64_t block, int64_t first, int64_t count) {
    BlockWeights weights(w, block, first, count);
    Awake v;
    uint8_t* codes = velocity.row<uint8_t>(0) + first;
    float& scale = scales.row(0)[block];
    v.decode_signed(codes, count, scale);
    each_of(first, count, active, Sgd{s, weights.data(), g.row(0) + first, v.values});
    scale = v.encode_signed(count, codes);
    weights.sleep();
  });
}

void CpuBackend::adamw_coded(const AdamWStep& s, const StreamKey& rounding, const WeightView& w, ConstView g,
                             View first_moment, View m_scales, View second_moment, View v_scales, ConstView active) {
  check_coded("adamw_coded", w, g, first_moment, m_scales, active);
  check_coded("adamw_coded", w, g, second_moment, v_scales, active);
  each_block(threads_, w.elements(), [&](int64_t block, int64_t first, int64_t count) {
    BlockWeights weights(w, block, first, count);
    Awake m, v;
    uint8_t *m_codes = first_moment.row<uint8_t>(0) + first, *v_codes = second_moment.row<uint8_t>(0) + first;
    float &m_scale = m_scales.row(0)[block], &v_scale = v_scales.row(0)[block];
    m.decode_signed(m_codes, count, m_scale);
    v.decode_unsigned(v_codes, count, v_scale);
    each_of(first, count, active, AdamW(s, weights.data(), g.row(0) + first, m.values, v.values));
    m_scale = m.encode_signed(count, m_codes);
    v_scale = v.encode_unsigned(count, rounding, block, v_codes);
    weights.sleep();
  });
}

}  // namespace shear::cpu
