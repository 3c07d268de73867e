// Optimizers' updates.
#include "operands.h"

using namespace shear;
using namespace shear::test;

namespace {

// State in codes, and what its codes mean.
struct Coded {
  bool positive;
  std::vector<uint8_t> codes;
  Matrix scales;

  Coded(int64_t n, bool without_sign, uint32_t seed)
      : positive(without_sign), codes(static_cast<size_t>(n)), scales(1, state_blocks(n), 0, seed) {
    Stream stream(seed, Purpose::test);
    for (uint8_t& c : codes) c = static_cast<uint8_t>(stream.below(positive ? 256 : 255));
    for (float& s : scales.data()) s = std::abs(s) * (positive ? 1e-4f : 1.f);
  }
  double value(int64_t i) const { return value(codes[static_cast<size_t>(i)], scales.at(0, i / state_block)); }
  double value(uint8_t code, double scale) const {
    if (positive) return scale * std::pow(code / 255., 4);
    const double k = code - 127;
    return scale * k * std::fabs(k) / (127. * 127.);
  }
  // What is left of `expected`, one value an element: the largest of each block, and codes next to the values.
  template <class F>
  void check(Side& side, F expected) const {
    const std::vector<uint8_t> found = side.result(codes);
    const Matrix found_scales = side.result(scales);
    const auto n = std::ssize(codes);
    int wrong = 0, zeros = 0;
    for (int64_t b = 0; b < state_blocks(n); ++b) {
      const int64_t end = std::min(n, (b + 1) * state_block);
      double top = 0;
      for (int64_t i = b * state_block; i < end; ++i) top = std::max(top, std::fabs(expected(i)));
      CHECK(found_scales.at(0, b) == doctest::Approx(top).epsilon(1e-5));
      for (int64_t i = b * state_block; i < end; ++i) {
        const double share = expected(i) / top;
        const double at =
            positive ? 255 * std::pow(share, 0.25) : 127 + 127 * std::copysign(std::sqrt(std::fabs(share)), share);
        const double off = std::fabs(found[static_cast<size_t>(i)] - at);
        wrong += off > (positive ? 1.001 : 0.501) && !(positive && at < 1 && found[static_cast<size_t>(i)] == 1);
        zeros += positive && expected(i) > 0 && found[static_cast<size_t>(i)] == 0;
      }
    }
    CHECK(wrong == 0);
    CHECK(zeros == 0);
  }
};

const StreamKey rounding{3, static_cast<uint32_t>(Purpose::test), 5, 7};

}  // namespace

TEST_CASE("three steps of SGD are those of the reference, with momentum, Nesterov's or plain, and weight decay") {
  for (const bool nesterov : {false, true})
    for (const int64_t n : {0, 1, 33, 20001}) {
      CAPTURE(n);
      const SgdStep s{
          .lr = 0.1f, .momentum = 0.9f, .weight_decay = 0.02f, .gradient_scale = 0.5f, .nesterov = nesterov};
      const Matrix w(1, n, 0, 1), v(1, n, 0, 2), g(1, n, 0, 3);
      Both both([&](Side& at) {
        for (int step = 0; step < 3; ++step) at.run().sgd(s, at(w), at(g), at(v), {});
      });
      both.check(w, [&](int64_t, int64_t c) {
        double weight = w.at(0, c), velocity = v.at(0, c);
        for (int step = 0; step < 3; ++step) {
          const double d = 0.5 * g.at(0, c) + 0.02 * weight;
          velocity = 0.9 * velocity + d;
          weight -= 0.1 * (nesterov ? d + 0.9 * velocity : velocity);
        }
        return weight;
      });
    }
}

TEST_CASE("three steps of AdamW are those of the reference, with bias correction and decoupled weight decay") {
  for (const int64_t n : {0, 1, 33, 20001}) {
    CAPTURE(n);
    const Matrix w(1, n, 0, 1), g(1, n, 0, 3);
    Matrix m(1, n, 0, 2), v(1, n, 0, 2);
    m.fill(0);
    v.fill(0);
    Both both([&](Side& at) {
      for (int t = 1; t <= 3; ++t)
        at.run().adamw({.lr = 0.01f,
                        .beta1 = 0.9f,
                        .beta2 = 0.999f,
                        .epsilon = 1e-8f,
                        .weight_decay = 0.1f,
                        .gradient_scale = 0.5f,
                        .correction1 = static_cast<float>(1 - std::pow(0.9, t)),
                        .correction2 = static_cast<float>(1 - std::pow(0.999, t))},
                       at(w), at(g), at(m), at(v), {});
    });
    both.check(w, [&](int64_t, int64_t c) {
      double weight = w.at(0, c), first = 0, second = 0;
      for (int t = 1; t <= 3; ++t) {
        const double d = 0.5 * g.at(0, c);
        first = 0.9 * first + 0.1 * d;
        second = 0.999 * second + 0.001 * d * d;
        weight -= 0.01 * (0.1 * weight +
                          first / (1 - std::pow(0.9, t)) / (std::sqrt(second / (1 - std::pow(0.999, t))) + 1e-8));
      }
      return weight;
    });
  }
}

TEST_CASE("a column that is not active keeps its weights and its state, and the others are updated as ever") {
  const int64_t rows = 37, cols = 45;
  Matrix active(1, cols, 0, 1);
  for (int64_t c = 0; c < cols; ++c) active(0, c) = c % 3 == 1 ? 0.f : 1.f;
  const Matrix w(rows, cols, 0, 2), v(rows, cols, 0, 3), g(rows, cols, 0, 4), m(rows, cols, 0, 5);
  Matrix second(rows, cols, 0, 6);
  second.fill(1);
  const SgdStep sgd{.lr = 0.1f, .momentum = 0.9f, .weight_decay = 0.02f, .gradient_scale = 1, .nesterov = false};
  const AdamWStep adamw{.lr = 0.01f,
                        .beta1 = 0.9f,
                        .beta2 = 0.999f,
                        .epsilon = 1e-8f,
                        .weight_decay = 0.1f,
                        .gradient_scale = 1,
                        .correction1 = 0.1f,
                        .correction2 = 0.001f};
  for (const bool by_sgd : {true, false}) {
    const auto update = [&](Side& at, ConstView which) {
      if (by_sgd)
        at.run().sgd(sgd, at(w), at(g), at(v), which);
      else
        at.run().adamw(adamw, at(w), at(g), at(m), at(second), which);
    };
    Both all([&](Side& at) { update(at, {}); });
    Both some([&](Side& at) { update(at, at(active)); });
    const std::vector<const Matrix*> touched =
        by_sgd ? std::vector{&w, &v} : std::vector<const Matrix*>{&w, &m, &second};
    for (const Matrix* x : touched) {
      const Matrix updated = all.tested(*x), got = some.tested(*x);
      CHECK(error_of(got, [&](int64_t r, int64_t c) { return (active(0, c) != 0 ? updated : *x).at(r, c); }) == 0);
    }
  }
}

TEST_CASE(
    "SGD with its state in codes moves weights as the decoded state says, and codes what comes of it to the nearest") {
  for (const bool nesterov : {false, true})
    for (const int64_t n : {1, 255, 257, 20001}) {
      CAPTURE(nesterov);
      CAPTURE(n);
      const SgdStep s{
          .lr = 0.1f, .momentum = 0.9f, .weight_decay = 0.02f, .gradient_scale = 0.5f, .nesterov = nesterov};
      const Matrix w(1, n, 0, 1), g(1, n, 0, 3);
      const Coded v(n, false, 2);
      Both both([&](Side& at) { at.run().sgd_coded(s, at(w), at(g), at(v.codes), at(v.scales), {}); });
      const auto d = [&](int64_t i) { return 0.5 * g.at(0, i) + 0.02 * w.at(0, i); };
      const auto velocity = [&](int64_t i) { return 0.9 * v.value(i) + d(i); };
      both.check(w, [&](int64_t, int64_t i) {
        return w.at(0, i) - 0.1 * (nesterov ? d(i) + 0.9 * velocity(i) : velocity(i));
      });
      for (Side* side : both.sides()) v.check(*side, velocity);
    }
}

TEST_CASE("AdamW with its state in codes moves weights as the decoded state says, and no second moment becomes zero") {
  for (const int64_t n : {1, 255, 257, 20001}) {
    CAPTURE(n);
    const AdamWStep s{.lr = 0.01f,
                      .beta1 = 0.9f,
                      .beta2 = 0.999f,
                      .epsilon = 1e-8f,
                      .weight_decay = 0.1f,
                      .gradient_scale = 0.5f,
                      .correction1 = 0.4f,
                      .correction2 = 0.01f};
    const Matrix w(1, n, 0, 1);
    Matrix g(1, n, 0, 3);
    for (float& x : g.data()) x *= x * x * 1e-3f;  // over decades
    const Coded m(n, false, 2), v(n, true, 4);
    Both both([&](Side& at) {
      at.run().adamw_coded(s, rounding, at(w), at(g), at(m.codes), at(m.scales), at(v.codes), at(v.scales), {});
    });
    const auto first = [&](int64_t i) { return 0.9 * m.value(i) + 0.1 * 0.5 * g.at(0, i); };
    const auto second = [&](int64_t i) { return 0.999 * v.value(i) + 0.001 * std::pow(0.5 * g.at(0, i), 2); };
    double largest = 0;
    for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::fabs(first(i) / std::sqrt(second(i))));
    both.check(
        w,
        [&](int64_t, int64_t i) {
          return w.at(0, i) - 0.01 * (0.1 * w.at(0, i) + first(i) / 0.4 / (std::sqrt(second(i) / 0.01) + 1e-8));
        },
        1e-5 + 1e-7 * largest);
    for (Side* side : both.sides()) {
      m.check(*side, first);
      v.check(*side, second);
    }
  }
}

TEST_CASE("a second moment in codes is right in the mean of many roundings, wherever it lies between two codes") {
  const int64_t n = 256 * 400;
  Matrix w(1, n, 0, 1), g(1, n, 0, 1);
  Coded m(n, false, 2), v(n, true, 4);
  for (const double share : {1e-6, 3e-4, 0.02, 0.31, 0.97}) {
    CAPTURE(share);
    // Of each block the first value is the largest, and the others are that share of it.
    std::fill(m.codes.begin(), m.codes.end(), uint8_t{127});
    std::fill(v.codes.begin(), v.codes.end(), uint8_t{0});
    v.scales.fill(1);
    for (int64_t i = 0; i < n; ++i)
      g.data()[static_cast<size_t>(i)] = i % 256 == 0 ? 1.f : static_cast<float>(std::sqrt(share));
    Both both([&](Side& at) {
      at.run().adamw_coded({.lr = 0,
                            .beta1 = 0,
                            .beta2 = 0,
                            .epsilon = 1,
                            .weight_decay = 0,
                            .gradient_scale = 1,
                            .correction1 = 1,
                            .correction2 = 1},
                           rounding, at(w), at(g), at(m.codes), at(m.scales), at(v.codes), at(v.scales), {});
    });
    for (Side* side : both.sides()) {
      const auto codes = side->result(v.codes);
      double sum = 0, squares = 0;
      int64_t count = 0;
      for (int64_t i = 0; i < n; ++i) {
        if (i % 256 == 0) continue;
        const double found = v.value(codes[static_cast<size_t>(i)], 1);
        sum += found, squares += found * found, ++count;
      }
      const double mean = sum / static_cast<double>(count);
      const double error = std::sqrt((squares / static_cast<double>(count) - mean * mean) / static_cast<double>(count));
      CHECK(std::fabs(mean - share) <= 5 * error + 1e-5 * share);
    }
  }
}

TEST_CASE(
    "with state in codes a column that is not active keeps its weights, and its state to the rounding of a scale") {
  const int64_t rows = 37, cols = 45, n = rows * cols;
  Matrix active(1, cols, 0, 1);
  for (int64_t c = 0; c < cols; ++c) active(0, c) = c % 3 == 1 ? 0.f : 1.f;
  const Matrix w(rows, cols, 0, 2), g(rows, cols, 0, 4);
  const Coded v(n, false, 3), m(n, false, 5), second(n, true, 6);
  const auto is_active = [&](int64_t i) { return active(0, i % cols) != 0; };
  const auto gradient = [&](int64_t i) { return g.at(i / cols, i % cols); };
  Both sgd([&](Side& at) {
    at.run().sgd_coded({.lr = 0.1f, .momentum = 0.9f, .weight_decay = 0, .gradient_scale = 1, .nesterov = false}, at(w),
                       at(g), at(v.codes), at(v.scales), at(active));
  });
  const auto velocity = [&](int64_t i) { return is_active(i) ? 0.9 * v.value(i) + gradient(i) : v.value(i); };
  sgd.check(w, [&](int64_t r, int64_t c) {
    const int64_t i = r * cols + c;
    return w.at(r, c) - (is_active(i) ? 0.1 * velocity(i) : 0);
  });
  for (Side* side : sgd.sides()) v.check(*side, velocity);
  Both adamw([&](Side& at) {
    at.run().adamw_coded({.lr = 0.01f,
                          .beta1 = 0.9f,
                          .beta2 = 0.999f,
                          .epsilon = 1e-8f,
                          .weight_decay = 0,
                          .gradient_scale = 1,
                          .correction1 = 1,
                          .correction2 = 1},
                         rounding, at(w), at(g), at(m.codes), at(m.scales), at(second.codes), at(second.scales),
                         at(active));
  });
  for (Side* side : adamw.sides()) {
    m.check(*side, [&](int64_t i) { return is_active(i) ? 0.9 * m.value(i) + 0.1 * gradient(i) : m.value(i); });
    second.check(*side, [&](int64_t i) {
      return is_active(i) ? 0.999 * second.value(i) + 0.001 * gradient(i) * gradient(i) : second.value(i);
    });
    const Matrix found = side->result(w);
    CHECK(error_of(found, [&](int64_t r, int64_t c) { return active(0, c) != 0 ? found.at(r, c) : w.at(r, c); }) == 0);
  }
}
