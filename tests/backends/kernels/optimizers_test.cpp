// Optimizers' updates.
#include "operands.h"

using namespace shear;
using namespace shear::test;

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
