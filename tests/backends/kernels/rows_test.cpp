// Kernels that look at whole rows, columns or images: sums, means of tokens, LayerNorm, the loss, patches.
#include "operands.h"

using namespace shear;
using namespace shear::test;

TEST_CASE("sums of columns, of squares and means are those of the reference") {
  for_sizes([](const Size& s) {
    const Matrix x(s.rows, s.cols, s.gap, 1), mean(1, 1, 0, 2), total(1, 2, 0, 3);
    double squares = 0, sum = 0;
    std::vector<double> columns(static_cast<size_t>(s.cols));
    for (int64_t r = 0; r < s.rows; ++r)
      for (int64_t c = 0; c < s.cols; ++c) {
        squares += x.at(r, c) * x.at(r, c);
        sum += x.at(r, c);
        columns[static_cast<size_t>(c)] += x.at(r, c);
      }
    check_with_beta(
        1, s.cols, 0, [&](Side& at, View out, float beta) { at.run().column_sums(at(x), beta, out); },
        [&](int64_t, int64_t c) { return columns[static_cast<size_t>(c)]; });
    Both both([&](Side& at) {
      at.run().sum_squares(at(x), 0, as_f64(at(total)));
      CHECK(as_f64(at.result(total)) == doctest::Approx(squares).epsilon(1e-12));
      at.run().sum_squares(at(x), 0.5f, as_f64(at(total)));
      CHECK(as_f64(at.result(total)) == doctest::Approx(1.5 * squares).epsilon(1e-12));
      if (s.rows * s.cols > 0) at.run().mean(at(x), at(mean));
    });
    if (s.rows * s.cols > 0)
      both.check(mean, [&](int64_t, int64_t) { return sum / static_cast<double>(s.rows * s.cols); });
  });
}

TEST_CASE("sums over many rows are split, and have the same bits every time") {
  const Matrix x(3001, 67, 2, 1), out(1, 67, 0, 2);
  std::vector<double> columns(67);
  for (int64_t r = 0; r < x.rows(); ++r)
    for (int64_t c = 0; c < 67; ++c) columns[static_cast<size_t>(c)] += x.at(r, c);
  Both first([&](Side& at) { at.run().column_sums(at(x), 0, at(out)); });
  Both second([&](Side& at) { at.run().column_sums(at(x), 0, at(out)); });
  first.check(
      out, [&](int64_t, int64_t c) { return columns[static_cast<size_t>(c)]; }, 1e-5);
  CHECK(first.tested(out).same_bits(second.tested(out)));
  const Matrix once(1, 2, 0, 3), again(1, 2, 0, 4);
  Side at(tested_backend());
  at.run().sum_squares(at(x), 0, as_f64(at(once)));
  at.run().sum_squares(at(x), 0, as_f64(at(again)));
  CHECK(at.result(once).same_bits(at.result(again)));
}

TEST_CASE("the products of two matrices are summed along each row") {
  for_sizes([](const Size& s) {
    const Matrix a(s.rows, s.cols, s.gap, 1), b(s.rows, s.cols, s.gap + 1, 2);
    check_with_beta(
        1, s.rows, 0, [&](Side& at, View to, float beta) { at.run().row_dots(at(a), at(b), beta, to); },
        [&](int64_t, int64_t r) {
          double sum = 0;
          for (int64_t c = 0; c < s.cols; ++c) sum += a.at(r, c) * b.at(r, c);
          return sum;
        });
  });
}

TEST_CASE("the mean of each sequence's tokens from any of them on, and its gradient, are those of the reference") {
  for (const auto& [sequences, tokens, cols] :
       {std::array<int64_t, 3>{1, 1, 1}, {3, 5, 33}, {2, 197, 70}, {0, 4, 3}, {4, 9, 768}})
    for (const int64_t first : {int64_t{0}, tokens / 2, tokens - 1})
      for (const int64_t gap : {0, 3}) {
        CAPTURE(tokens);
        CAPTURE(cols);
        CAPTURE(first);
        const int64_t n = tokens, f = first;
        const Matrix x(sequences * n, cols, gap, 1), y(sequences, cols, gap, 2), dy(sequences, cols, gap, 3);
        Both both([&](Side& at) { at.run().mean_tokens(at(x), n, f, at(y)); });
        both.check(y, [&](int64_t b, int64_t c) {
          double sum = 0;
          for (int64_t t = f; t < n; ++t) sum += x.at(b * n + t, c);
          return sum / static_cast<double>(n - f);
        });
        check_with_beta(
            sequences * n, cols, gap,
            [&](Side& at, View dx, float beta) { at.run().mean_tokens_grad(at(dy), n, f, beta, dx); },
            [&](int64_t r, int64_t c) { return r % n < f ? 0 : dy.at(r / n, c) / static_cast<double>(n - f); });
      }
}

// -- LayerNorm ------------------------------------------------------------------------------------------------------

namespace {

constexpr float epsilon = 1e-6f;

// LayerNorm and its gradients in f64.
struct Norm {
  Norm(const Matrix& x_, const Matrix& gamma_, const Matrix& beta_) : x(x_), gamma(gamma_), beta(beta_) {
    const double n = static_cast<double>(x.cols());
    for (int64_t r = 0; r < x.rows(); ++r) {
      double m = 0, v = 0;
      for (int64_t c = 0; c < x.cols(); ++c) m += x.at(r, c) / n;
      for (int64_t c = 0; c < x.cols(); ++c) v += (x.at(r, c) - m) * (x.at(r, c) - m) / n;
      mean.push_back(m);
      rstd.push_back(1 / std::sqrt(v + static_cast<double>(epsilon)));
    }
  }
  double hat(int64_t r, int64_t c) const {
    return (x.at(r, c) - mean[static_cast<size_t>(r)]) * rstd[static_cast<size_t>(r)];
  }
  double y(int64_t r, int64_t c) const { return hat(r, c) * gamma.at(0, c) + beta.at(0, c); }
  Matrix dx(const Matrix& dy) const {
    Matrix out(x.rows(), x.cols(), 0, 1);
    for (int64_t r = 0; r < x.rows(); ++r) {
      double g = 0, gx = 0;
      for (int64_t c = 0; c < x.cols(); ++c) {
        g += gamma.at(0, c) * dy.at(r, c) / static_cast<double>(x.cols());
        gx += gamma.at(0, c) * dy.at(r, c) * hat(r, c) / static_cast<double>(x.cols());
      }
      for (int64_t c = 0; c < x.cols(); ++c)
        out(r, c) =
            static_cast<float>(rstd[static_cast<size_t>(r)] * (gamma.at(0, c) * dy.at(r, c) - g - hat(r, c) * gx));
    }
    return out;
  }
  double dgamma(const Matrix& dy, int64_t c) const {
    double sum = 0;
    for (int64_t r = 0; r < x.rows(); ++r) sum += dy.at(r, c) * hat(r, c);
    return sum;
  }
  double dbeta(const Matrix& dy, int64_t c) const {
    double sum = 0;
    for (int64_t r = 0; r < x.rows(); ++r) sum += dy.at(r, c);
    return sum;
  }

  const Matrix &x, &gamma, &beta;
  std::vector<double> mean, rstd;
};

}  // namespace

TEST_CASE("LayerNorm is that of the reference, and made again from its statistics it has the same bits") {
  for_sizes([](const Size& s) {
    if (s.cols == 0) return;
    const Matrix x(s.rows, s.cols, s.gap, 1), gamma(1, s.cols, 0, 2), beta(1, s.cols, 0, 3),
        y(s.rows, s.cols, s.gap, 4), again(s.rows, s.cols, s.gap + 1, 5), mean(1, s.rows, 0, 6), rstd(1, s.rows, 0, 7);
    const Norm norm(x, gamma, beta);
    Both both([&](Side& at) {
      at.run().layernorm(at(x), at(gamma), at(beta), epsilon, at(y), at(mean), at(rstd));
      at.run().layernorm_apply(at(x), at(mean), at(rstd), at(gamma), at(beta), at(again));
    });
    both.check(y, [&](int64_t r, int64_t c) { return norm.y(r, c); });
    both.check(mean, [&](int64_t, int64_t r) { return norm.mean[static_cast<size_t>(r)]; });
    if (s.cols > 1) both.check(rstd, [&](int64_t, int64_t r) { return norm.rstd[static_cast<size_t>(r)]; });
    const Matrix first = both.tested(y), second = both.tested(again);
    CHECK(error_of(second, [&](int64_t r, int64_t c) { return first.at(r, c); }) == 0);
  });
}

TEST_CASE("a norm's standardised input is that of the reference, and comes back, in place, centred or not") {
  for_sizes([](const Size& s) {
    if (s.cols == 0) return;
    const Matrix x(s.rows, s.cols, s.gap, 1), mean(1, s.rows, 0, 3), y(s.rows, s.cols, s.gap + 1, 4),
        uncentred(s.rows, s.cols, s.gap, 5);
    Matrix rstd(1, s.rows, 0, 2);
    for (int64_t r = 0; r < s.rows; ++r) rstd(0, r) = 0.25f + std::abs(rstd(0, r));
    Both both([&](Side& at) {
      at.run().layernorm_standardise(at(x), at(mean), at(rstd), at(y));
      at.run().layernorm_standardise(at(x), {}, at(rstd), at(uncentred));
    });
    both.check(y, [&](int64_t r, int64_t c) { return (x.at(r, c) - mean.at(0, r)) * rstd.at(0, r); });
    both.check(uncentred, [&](int64_t r, int64_t c) { return x.at(r, c) * rstd.at(0, r); });
    Both back([&](Side& at) {
      at.run().layernorm_unstandardise(at(x), at(mean), at(rstd), at(y));
      at.run().layernorm_unstandardise(at(x), {}, at(rstd), at(x));
    });
    back.check(y, [&](int64_t r, int64_t c) { return x.at(r, c) / rstd.at(0, r) + mean.at(0, r); });
    back.check(x, [&](int64_t r, int64_t c) { return x.at(r, c) / rstd.at(0, r); });
  });
}

TEST_CASE("under bf16 LayerNorm and its statistics are those of the rounded input") {
  for_sizes([](const Size& s) {
    if (s.cols == 0) return;
    const Matrix x(s.rows, s.cols, s.gap, 1), gamma(1, s.cols, 0, 2), beta(1, s.cols, 0, 3),
        y(s.rows, s.cols, s.gap, 4), mean(1, s.rows, 0, 6), rstd(1, s.rows, 0, 7);
    for (const Matrix* out : {&y, &mean, &rstd})
      check_takes_rounded(x, *out, [&](Side& at, const Matrix& in) {
        at.run().layernorm(at(in), at(gamma), at(beta), epsilon, at(y), at(mean), at(rstd));
      });
  });
}

TEST_CASE("LayerNorm's gradients are those of the reference, in place, each without the others, and added") {
  constexpr Size wide{5, 6001, 2};  // more columns than shared memory has room to gather
  std::vector<Size> all(std::begin(sizes), std::end(sizes));
  all.push_back(wide);
  for (const Size& s : all) {
    if (s.cols <= 1) continue;
    CAPTURE(s.rows);
    CAPTURE(s.cols);
    const Matrix x(s.rows, s.cols, s.gap, 1), gamma(1, s.cols, 0, 2), beta(1, s.cols, 0, 3),
        dy(s.rows, s.cols, s.gap, 4), y(s.rows, s.cols, 0, 5), mean(1, s.rows, 0, 6), rstd(1, s.rows, 0, 7);
    const Norm norm(x, gamma, beta);
    const Matrix dx = norm.dx(dy);
    const auto forward = [&](Side& at) {
      at.run().layernorm(at(x), at(gamma), at(beta), epsilon, at(y), at(mean), at(rstd));
    };
    const auto backward = [&](Side& at, float beta_dx, View to, float beta_params, View dgamma, View dbeta) {
      forward(at);
      at.run().layernorm_grad(at(x), at(mean), at(rstd), at(gamma), at(dy), beta_dx, to, beta_params, dgamma, dbeta,
                              at.scratch(at.run().layernorm_scratch(s.cols)));
    };
    const double tolerance = 1e-5;
    const auto expected = [&](int64_t r, int64_t c) { return dx.at(r, c); };
    check_with_beta(
        s.rows, s.cols, s.gap, [&](Side& at, View to, float b) { backward(at, b, to, 0, {}, {}); }, expected,
        tolerance);
    check_with_beta(
        1, s.cols, 0, [&](Side& at, View to, float b) { backward(at, 0, {}, b, to, {}); },
        [&](int64_t, int64_t c) { return norm.dgamma(dy, c); }, tolerance);
    check_with_beta(
        1, s.cols, 0, [&](Side& at, View to, float b) { backward(at, 0, {}, b, {}, to); },
        [&](int64_t, int64_t c) { return norm.dbeta(dy, c); }, tolerance);
    const Matrix dgamma(1, s.cols, 0, 8), dbeta(1, s.cols, 0, 9);
    Both together([&](Side& at) { backward(at, 0, at(dy), 0, at(dgamma), at(dbeta)); });  // dx over dy
    together.check(dy, expected, tolerance);
    together.check(
        dgamma, [&](int64_t, int64_t c) { return norm.dgamma(dy, c); }, tolerance);
    together.check(
        dbeta, [&](int64_t, int64_t c) { return norm.dbeta(dy, c); }, tolerance);
  }
}

TEST_CASE("RMSNorm, made again and its gradients are those of the reference, in place, each without the other") {
  for_sizes([](const Size& s) {
    if (s.cols == 0) return;
    const Matrix x(s.rows, s.cols, s.gap, 1), gamma(1, s.cols, 0, 2), y(s.rows, s.cols, s.gap, 3),
        again(s.rows, s.cols, s.gap + 1, 4), dy(s.rows, s.cols, s.gap, 5), rstd(1, s.rows, 0, 6),
        dgamma(1, s.cols, 0, 7);
    std::vector<double> root, dot;  // 1 / the root of the mean square; the mean of gamma dy x
    for (int64_t r = 0; r < s.rows; ++r) {
      double squares = 0, sum = 0;
      for (int64_t c = 0; c < s.cols; ++c) {
        squares += x.at(r, c) * x.at(r, c) / static_cast<double>(s.cols);
        sum += gamma.at(0, c) * dy.at(r, c) * x.at(r, c) / static_cast<double>(s.cols);
      }
      root.push_back(1 / std::sqrt(squares + static_cast<double>(epsilon)));
      dot.push_back(sum);
    }
    const auto forward = [&](Side& at) {
      at.run().layernorm(at(x), at(gamma), {}, epsilon, at(y), {}, at(rstd));
      at.run().layernorm_apply(at(x), {}, at(rstd), at(gamma), {}, at(again));
    };
    Both both(forward);
    both.check(y, [&](int64_t r, int64_t c) { return x.at(r, c) * root[static_cast<size_t>(r)] * gamma.at(0, c); });
    both.check(rstd, [&](int64_t, int64_t r) { return root[static_cast<size_t>(r)]; });
    const Matrix first = both.tested(y), second = both.tested(again);
    CHECK(error_of(second, [&](int64_t r, int64_t c) { return first.at(r, c); }) == 0);
    const auto backward = [&](Side& at, float beta_dx, View to, float beta_params, View into) {
      forward(at);
      at.run().layernorm_grad(at(x), {}, at(rstd), at(gamma), at(dy), beta_dx, to, beta_params, into, {},
                              at.scratch(at.run().layernorm_scratch(s.cols)));
    };
    const auto expected_dx = [&](int64_t r, int64_t c) {
      const double u = root[static_cast<size_t>(r)];
      return u * (gamma.at(0, c) * dy.at(r, c) - x.at(r, c) * u * u * dot[static_cast<size_t>(r)]);
    };
    const auto expected_dgamma = [&](int64_t, int64_t c) {
      double sum = 0;
      for (int64_t r = 0; r < s.rows; ++r) sum += dy.at(r, c) * x.at(r, c) * root[static_cast<size_t>(r)];
      return sum;
    };
    check_with_beta(
        s.rows, s.cols, s.gap, [&](Side& at, View to, float b) { backward(at, b, to, 0, {}); }, expected_dx, 1e-5);
    check_with_beta(
        1, s.cols, 0, [&](Side& at, View to, float b) { backward(at, 0, {}, b, to); }, expected_dgamma, 1e-5);
    Both together([&](Side& at) { backward(at, 0, at(dy), 0, at(dgamma)); });  // dx over dy
    together.check(dy, expected_dx, 1e-5);
    together.check(dgamma, expected_dgamma, 1e-5);
  });
}

// -- Rotary positions -----------------------------------------------------------------------------------------------

TEST_CASE("queries and keys turn by their tokens' angles, and back, with what was there added, and over themselves") {
  for (const HeadGrid& g : {HeadGrid{2, 5, 3, 4}, HeadGrid{1, 197, 3, 64}, HeadGrid{3, 4, 1, 6}, HeadGrid{0, 4, 1, 4}})
    for (const int64_t first : {int64_t{0}, int64_t{1}, g.tokens - 1})
      for (const RotaryPairs pairs : {RotaryPairs::neighbours, RotaryPairs::halves})
        for (const bool back : {false, true}) {
          CAPTURE(g.tokens);
          CAPTURE(first);
          CAPTURE(back);
          const int64_t rows = g.batch * g.tokens, half = g.width / 2;
          const Matrix x(rows, 3 * g.model(), 2, 1), sine(g.tokens - first, g.width, 0, 2),
              cosine(g.tokens - first, g.width, 0, 3);
          const auto expected = [&](int64_t r, int64_t c) {
            const int64_t place = r % g.tokens - first, i = c % g.width;
            if (place < 0 || c >= 2 * g.model()) return x.at(r, c);
            const bool leads = pairs == RotaryPairs::halves ? i < half : i % 2 == 0;
            const int64_t apart = pairs == RotaryPairs::halves ? half : 1, other = leads ? i + apart : i - apart;
            const double turned = x.at(r, c - i + other) * sine.at(place, back ? other : i);
            return x.at(r, c) * cosine.at(place, i) + (leads == back ? turned : -turned);
          };
          const auto run = [&](Side& at, ConstView from, float beta, View to) {
            at.run().rotate(g, first, pairs, back, at(sine), at(cosine), from, beta, to);
          };
          check_with_beta(
              rows, 3 * g.model(), 3, [&](Side& at, View to, float beta) { run(at, at(x), beta, to); }, expected);
          Both over([&](Side& at) { run(at, at(x), 0, at(x)); });
          over.check(x, expected);
        }
}

TEST_CASE("where each head has angles of its own, queries and keys turn by them, and back") {
  for (const HeadGrid& g : {HeadGrid{2, 5, 3, 4}, HeadGrid{1, 197, 3, 64}, HeadGrid{0, 4, 2, 4}})
    for (const bool back : {false, true}) {
      CAPTURE(g.tokens);
      CAPTURE(back);
      const int64_t rows = g.batch * g.tokens;
      const Matrix x(rows, 3 * g.model(), 2, 1), sine(g.tokens - 1, g.model(), 1, 2),
          cosine(g.tokens - 1, g.model(), 1, 3);
      check_with_beta(
          rows, 3 * g.model(), 3,
          [&](Side& at, View to, float beta) {
            at.run().rotate(g, 1, RotaryPairs::neighbours, back, at(sine), at(cosine), at(x), beta, to);
          },
          [&](int64_t r, int64_t c) {
            const int64_t place = r % g.tokens - 1, i = c % g.model();
            if (place < 0 || c >= 2 * g.model()) return x.at(r, c);
            const bool leads = i % 2 == 0;
            const double turned = x.at(r, leads ? c + 1 : c - 1) * sine.at(place, back ? i ^ 1 : i);
            return x.at(r, c) * cosine.at(place, i) + (leads == back ? turned : -turned);
          });
    }
}

TEST_CASE("sine and cosine of each angle stand twice, side by side") {
  for_sizes([](const Size& s) {
    const Matrix angles(s.rows, s.cols, s.gap, 1, 20), sine(s.rows, 2 * s.cols, s.gap, 2),
        cosine(s.rows, 2 * s.cols, s.gap, 3);
    Both both([&](Side& at) { at.run().sine_cosine(at(angles), at(sine), at(cosine)); });
    both.check(sine, [&](int64_t r, int64_t c) { return std::sin(angles.at(r, c / 2)); });
    both.check(cosine, [&](int64_t r, int64_t c) { return std::cos(angles.at(r, c / 2)); });
  });
}

TEST_CASE("what arrives at the angles of each head is that of the reference, with what was there added") {
  for (const HeadGrid& g : {HeadGrid{2, 5, 3, 4}, HeadGrid{3, 197, 3, 64}, HeadGrid{1, 4, 1, 6}, HeadGrid{0, 4, 1, 4}})
    for (const int64_t first : {int64_t{0}, int64_t{1}, g.tokens - 1}) {
      CAPTURE(g.tokens);
      CAPTURE(first);
      const int64_t rows = g.batch * g.tokens, d = g.model();
      const Matrix y(rows, 3 * d, 2, 1), dy(rows, 3 * d, 1, 2);
      check_with_beta(
          g.tokens - first, d / 2, 3,
          [&](Side& at, View to, float beta) { at.run().rotate_angles_grad(g, first, at(y), at(dy), beta, to); },
          [&](int64_t n, int64_t c) {
            double sum = 0;
            for (int64_t r = first + n; r < rows; r += g.tokens)
              for (const int64_t a : {2 * c, d + 2 * c})
                sum += dy.at(r, a + 1) * y.at(r, a) - dy.at(r, a) * y.at(r, a + 1);
            return sum;
          });
    }
}

// -- The loss -------------------------------------------------------------------------------------------------------

TEST_CASE("the loss and its gradient are those of the reference, with smoothing and large logits") {
  for (const float scale : {1.f, 100.f})
    for_sizes([&](const Size& s) {
      if (s.cols == 0) return;
      const Matrix x(s.rows, s.cols, s.gap, 1, scale), losses(1, s.rows, 0, 2), up(1, 1, 0, 3);
      std::vector<int32_t> labels;
      for (int64_t r = 0; r < s.rows; ++r) labels.push_back(static_cast<int32_t>(7 * r % s.cols));
      const double smoothing = static_cast<double>(0.1f), off = smoothing / static_cast<double>(s.cols);
      std::vector<double> log_sums, expected;
      for (int64_t r = 0; r < s.rows; ++r) {
        double max = -1e300, sum = 0, loss = 0;
        for (int64_t c = 0; c < s.cols; ++c) max = std::max(max, x.at(r, c));
        for (int64_t c = 0; c < s.cols; ++c) sum += std::exp(x.at(r, c) - max);
        const double log_sum = max + std::log(sum);
        for (int64_t c = 0; c < s.cols; ++c)
          loss += (off + (c == labels[static_cast<size_t>(r)] ? 1 - smoothing : 0)) * (log_sum - x.at(r, c));
        log_sums.push_back(log_sum);
        expected.push_back(loss);
      }
      Both both([&](Side& at) { at.run().cross_entropy(at(x), at(labels), 0.1f, at(losses)); });
      both.check(losses, [&](int64_t, int64_t r) { return expected[static_cast<size_t>(r)]; });
      check_with_beta(
          s.rows, s.cols, s.gap,
          [&](Side& at, View dx, float beta) {
            at.run().cross_entropy_grad(at(x), at(labels), 0.1f, 0.25f, at(up), beta, dx);
          },
          [&](int64_t r, int64_t c) {
            const double target = off + (c == labels[static_cast<size_t>(r)] ? 1 - smoothing : 0);
            return (std::exp(x.at(r, c) - log_sums[static_cast<size_t>(r)]) - target) * 0.25 * up.at(0, 0);
          },
          1e-5);
    });
}

TEST_CASE("a row is right where no logit is above its label's, of equal ones the first, and by no nan") {
  struct Row {
    std::vector<float> logits;
    int32_t label;
    bool right;
  };
  const Row rows[] = {{{1, 3, 2}, 1, true},
                      {{1, 3, 2}, 0, false},
                      {{2, 2, 2}, 0, true},
                      {{2, 2, 2}, 2, false},
                      {{1, unset, 2}, 2, true},
                      {{1, unset, 2}, 1, false},
                      {{unset, unset, unset}, 0, false}};
  // In turns, among columns that are below all of these: more rows than a block has warps, more classes than lanes.
  for (const int64_t count : {1, 7, 31, 64, 100})
    for (const int64_t classes : {3, 32, 70}) {
      CAPTURE(count);
      CAPTURE(classes);
      Matrix x(count, classes, 3, 1), right(1, 1, 0, 2);
      x.fill(-1);
      std::vector<int32_t> labels;
      double expected = 0;
      for (int64_t r = 0; r < count; ++r) {
        const Row& row = rows[r % 7];
        const int64_t first = classes - 3;
        for (int64_t c = 0; c < 3; ++c) x(r, first + c) = row.logits[static_cast<size_t>(c)];
        labels.push_back(static_cast<int32_t>(first) + row.label);
        expected += row.right;
      }
      right.fill(unset);
      Both once([&](Side& at) { at.run().count_right(at(x), at(labels), 0, at(right)); });
      once.check(
          right, [&](int64_t, int64_t) { return expected; }, 0);
      right.fill(5);
      Both added([&](Side& at) { at.run().count_right(at(x), at(labels), 1, at(right)); });
      added.check(
          right, [&](int64_t, int64_t) { return expected + 5; }, 0);
    }
}

// -- Patches --------------------------------------------------------------------------------------------------------

TEST_CASE("patches are gathered from any first row, into rows with gaps") {
  const PatchGrid grids[] = {{.channels = 2, .height = 6, .width = 9, .patch = 3},
                             {.channels = 3, .height = 32, .width = 48, .patch = 16},
                             {.channels = 1, .height = 5, .width = 3, .patch = 1}};
  for (const PatchGrid& g : grids) {
    const Matrix images(3, g.channels * g.height * g.width, 0, 1);
    for (const int64_t first : {int64_t{0}, int64_t{4}, 3 * g.count() - 1}) {
      const Matrix out(std::min<int64_t>(9, 3 * g.count() - first), g.size(), 4, 2);
      Both both([&](Side& at) { at.run().gather_patches(g, at(images), first, at(out)); });
      CHECK(both.tested(out).same_bits(both.other(out)));
      both.check(
          out,
          [&](int64_t i, int64_t c) {
            const int64_t image = (first + i) / g.count(), place = (first + i) % g.count(), side = g.patch;
            const int64_t y = place / g.across() * side + c / side % side, x = place % g.across() * side + c % side;
            return images.at(image, (c / (side * side) * g.height + y) * g.width + x);
          },
          0);
    }
    const Matrix nothing(0, g.size(), 0, 3);
    Both none([&](Side& at) { at.run().gather_patches(g, at(images), 0, at(nothing)); });
  }
}
