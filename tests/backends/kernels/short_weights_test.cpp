// Weights that sleep in fewer bits than f32: waking them, and optimizers' updates of them.
#include <bit>

#include "operands.h"

using namespace shear;
using namespace shear::test;

namespace {

const StreamKey rounding{3, static_cast<uint32_t>(Purpose::test), 5, 7};

// Weights as they sleep, from values that are rounded to the nearest.
struct Asleep {
  int64_t rows, cols;
  std::vector<uint8_t> value, fine;  // of `value` two bytes an element

  Asleep(const Matrix& w, bool split) : rows(w.rows()), cols(w.cols()) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c) {
        const auto x = static_cast<float>(w.at(r, c));
        const SplitWeight parts = split_weight(x, half_up(x, 8));
        const uint16_t bits = split ? parts.coarse : short_weight(x, half_up(x, 16));
        value.push_back(static_cast<uint8_t>(bits & 0xff));
        value.push_back(static_cast<uint8_t>(bits >> 8));
        if (split) fine.push_back(parts.fine);
      }
  }
  WeightView on(Side& side) const {
    return {View(side(value).data, rows, cols, cols, DType::bf16),
            fine.empty() ? View() : View(side(fine).data, rows, cols, cols, DType::u8), rounding};
  }
  double at(int64_t r, int64_t c) const { return joined(value, fine, r * cols + c); }
  // What an update left.
  Matrix result(Side& side) const {
    const std::vector<uint8_t> v = side.result(value), f = fine.empty() ? fine : side.result(fine);
    Matrix out(rows, cols, 0, 1);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c) out(r, c) = joined(v, f, r * cols + c);
    return out;
  }
  // Of the last digit of a value.
  double unit(double x) const { return std::ldexp(1, std::ilogb(x == 0 ? 1e-30 : x) - (fine.empty() ? 7 : 15)); }

 private:
  static float joined(const std::vector<uint8_t>& v, const std::vector<uint8_t>& f, int64_t i) {
    const auto n = static_cast<size_t>(i);
    const auto bits = static_cast<uint16_t>(v[2 * n] | v[2 * n + 1] << 8);
    return f.empty() ? joined_weight(bits) : joined_weight(bits, f[n]);
  }
};

constexpr SgdStep sgd_step{
    .lr = 0.1f, .momentum = 0.9f, .weight_decay = 0.02f, .gradient_scale = 0.5f, .nesterov = false};
constexpr AdamWStep adamw_step{.lr = 0.01f,
                               .beta1 = 0.9f,
                               .beta2 = 0.999f,
                               .epsilon = 1e-8f,
                               .weight_decay = 0.1f,
                               .gradient_scale = 0.5f,
                               .correction1 = 0.4f,
                               .correction2 = 0.01f};

// State of every optimizer, and each one's update.
struct State {
  Matrix g, m, v, scales, more_scales;
  std::vector<uint8_t> codes, more_codes;
  State(int64_t rows, int64_t cols)
      : g(rows, cols, 0, 3),
        m(rows, cols, 0, 4),
        v(rows, cols, 0, 5),
        scales(1, state_blocks(rows * cols), 0, 6),
        more_scales(1, state_blocks(rows * cols), 0, 7),
        codes(static_cast<size_t>(rows * cols), 131),
        more_codes(static_cast<size_t>(rows * cols), 40) {
    for (float& x : v.data()) x *= x;
    for (float& x : scales.data()) x = std::abs(x);
    for (float& x : more_scales.data()) x = std::abs(x);
  }
};
void update(int how, Side& at, const State& s, const WeightView& w, ConstView active) {
  if (how == 0) at.run().sgd(sgd_step, w, at(s.g), at(s.m), active);
  if (how == 1) at.run().adamw(adamw_step, w, at(s.g), at(s.m), at(s.v), active);
  if (how == 2) at.run().sgd_coded(sgd_step, w, at(s.g), at(s.codes), at(s.scales), active);
  if (how == 3)
    at.run().adamw_coded(adamw_step, rounding, w, at(s.g), at(s.codes), at(s.scales), at(s.more_codes),
                         at(s.more_scales), active);
}

}  // namespace

TEST_CASE("weights that sleep in 16 or 24 bits wake as what they were rounded to, as many as there are") {
  for (const bool split : {false, true})
    for (const int64_t n : {0, 1, 255, 257, 20001}) {
      CAPTURE(split);
      CAPTURE(n);
      const Matrix w(1, n, 0, 1), out(1, n, 0, 2);
      const Asleep asleep(w, split);
      Both both([&](Side& at) {
        const WeightView v = asleep.on(at);
        at.run().wake_weights(v.value, v.fine, at(out));
      });
      both.check(
          out, [&](int64_t r, int64_t c) { return asleep.at(r, c); }, 0);
      for (int64_t c = 0; c < n; ++c) CHECK(std::fabs(asleep.at(0, c) - w.at(0, c)) <= 0.5 * asleep.unit(w.at(0, c)));
    }
}

TEST_CASE("every update of weights asleep is that of the same weights awake, to a digit up or down") {
  for (const bool split : {false, true})
    for (int how = 0; how < 4; ++how)
      for (const int64_t rows : {1, 37}) {
        const int64_t cols = 541;
        CAPTURE(split);
        CAPTURE(how);
        const Asleep asleep(Matrix(rows, cols, 0, 1), split);
        Matrix awake(rows, cols, 0, 1);
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t c = 0; c < cols; ++c) awake(r, c) = static_cast<float>(asleep.at(r, c));
        const State state(rows, cols);
        Both whole([&](Side& at) { update(how, at, state, at(awake), {}); });
        Both both([&](Side& at) { update(how, at, state, asleep.on(at), {}); });
        int away = 0, up = 0, down = 0;
        for (size_t side = 0; side < 2; ++side) {
          const Matrix expected = whole.sides()[side]->result(awake), found = asleep.result(*both.sides()[side]);
          for (int64_t r = 0; r < rows; ++r)
            for (int64_t c = 0; c < cols; ++c) {
              const double off = found.at(r, c) - expected.at(r, c);
              away += std::fabs(off) > asleep.unit(expected.at(r, c));
              up += off > 0, down += off < 0;
            }
          // The state does not see how weights sleep, but for how a compiler rounds sums of products.
          if (how < 2) {
            const Matrix m = whole.sides()[side]->result(state.m);
            const auto same = [&](int64_t r, int64_t c) { return m.at(r, c); };
            CHECK(error_of(both.sides()[side]->result(state.m), same) <= 1e-6);
          } else {
            const auto codes = whole.sides()[side]->result(state.codes), same = both.sides()[side]->result(state.codes);
            for (size_t i = 0; i < codes.size(); ++i) away += std::abs(codes[i] - same[i]) > 1;
          }
        }
        CHECK(away == 0);
        const double n = static_cast<double>(up + down);
        CHECK(n > 0);
        CHECK(std::fabs(up - down) <= 5 * std::sqrt(n));
      }
}

TEST_CASE("an update of weights asleep is right in the mean, where each alone would be lost") {
  const int64_t n = 1 << 16;
  for (const bool split : {false, true}) {
    CAPTURE(split);
    Matrix w(1, n, 0, 1), g(1, n, 0, 2), v(1, n, 0, 3);
    w.fill(1.f);
    v.fill(0.f);
    const float step = split ? 0x1p-19f : 0x1p-11f;  // a sixteenth of a digit
    g.fill(-step);
    const Asleep asleep(w, split);
    Both both([&](Side& at) {
      at.run().sgd({.lr = 1, .momentum = 0, .weight_decay = 0, .gradient_scale = 1, .nesterov = false}, asleep.on(at),
                   at(g), at(v), {});
    });
    for (Side* side : both.sides()) {
      const Matrix found = asleep.result(*side);
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) sum += found.at(0, i) - 1;
      const double deviation = asleep.unit(1) * std::sqrt(1. / 16 * 15. / 16 / static_cast<double>(n));
      CHECK(std::fabs(sum / static_cast<double>(n) - static_cast<double>(step)) <= 5 * deviation);
      CHECK(sum > 0);
    }
  }
}

TEST_CASE("weights asleep keep their bits where nothing moves them, and in columns that are not active") {
  const int64_t rows = 37, cols = 45;
  Matrix active(1, cols, 0, 1);
  for (int64_t c = 0; c < cols; ++c) active(0, c) = c % 3 == 1 ? 0.f : 1.f;
  for (const bool split : {false, true})
    for (int how = 0; how < 4; ++how) {
      CAPTURE(split);
      CAPTURE(how);
      const Asleep asleep(Matrix(rows, cols, 0, 1), split);
      const State state(rows, cols);
      Both both([&](Side& at) { update(how, at, state, asleep.on(at), at(active)); });
      for (Side* side : both.sides()) {
        const Matrix found = asleep.result(*side);
        int kept = 0, moved = 0;
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t c = 0; c < cols; ++c) (active(0, c) == 0 ? kept : moved) += found.at(r, c) == asleep.at(r, c);
        CHECK(kept == rows * (cols / 3));
        CHECK(moved < rows * cols / 4);
      }
      const Matrix nothing(rows, cols, 0, 9);
      Matrix zero = nothing;
      zero.fill(0);
      Both still([&](Side& at) {
        at.run().sgd({.lr = 0, .momentum = 0.9f, .weight_decay = 0, .gradient_scale = 1, .nesterov = false},
                     asleep.on(at), at(nothing), at(zero), {});
      });
      for (Side* side : still.sides()) {
        CHECK(side->result(asleep.value) == asleep.value);
        if (split) CHECK(side->result(asleep.fine) == asleep.fine);
      }
    }
}
