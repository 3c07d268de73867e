// Kernels in which every element minds its own business.
#include "errors.h"
#include "operands.h"

using namespace shear;
using namespace shear::test;

TEST_CASE("fill and copy write a view and nothing beside it") {
  for_sizes([](const Size& s) {
    const Matrix x(s.rows, s.cols, s.gap + 2, 2), out(s.rows, s.cols, s.gap, 1);
    Both filled([&](Side& at) { at.run().fill(at(out), 2.5f); });
    filled.check(
        out, [](int64_t, int64_t) { return 2.5; }, 0);
    check_with_beta(
        s.rows, s.cols, s.gap, [&](Side& at, View to, float beta) { at.run().copy(at(x), beta, to); },
        [&](int64_t r, int64_t c) { return x.at(r, c); });
  });
}

TEST_CASE("a view of more rows than a grid has is written to its last row") {
  const Matrix x(66000, 2, 1, 1), out(66000, 2, 1, 2);
  Both both([&](Side& at) { at.run().copy(at(x), 0, at(out)); });
  both.check(
      out, [&](int64_t r, int64_t c) { return x.at(r, c); }, 0);
}

TEST_CASE("sums and products of matrices and rows are those of the reference") {
  for_sizes([](const Size& s) {
    const Matrix a(s.rows, s.cols, s.gap, 1), b(s.rows, s.cols, s.gap + 1, 2), row(1, s.cols, 0, 3);
    const Matrix out(s.rows, s.cols, s.gap, 4);
    Both added([&](Side& at) { at.run().add(at(a), at(b), at(out)); });
    added.check(out, [&](int64_t r, int64_t c) { return a.at(r, c) + b.at(r, c); });
    Both rows([&](Side& at) { at.run().add_row(at(a), at(row), at(out)); });
    rows.check(out, [&](int64_t r, int64_t c) { return a.at(r, c) + row.at(0, c); });
    Both one_row([&](Side& at) {  // one row seen as many
      at.run().add_row(ConstView(at(row).data, s.rows, s.cols, 0), at(row), at(out));
    });
    one_row.check(out, [&](int64_t, int64_t c) { return 2 * row.at(0, c); });
    check_with_beta(
        s.rows, s.cols, s.gap, [&](Side& at, View to, float beta) { at.run().multiply(at(a), at(b), beta, to); },
        [&](int64_t r, int64_t c) { return a.at(r, c) * b.at(r, c); });
    for (const float beta : {0.f, 1.f, -0.5f}) {
      Both in_place([&](Side& at) { at.run().multiply(at(a), at(b), beta, at(b)); });
      in_place.check(b, [&](int64_t r, int64_t c) { return (a.at(r, c) + static_cast<double>(beta)) * b.at(r, c); });
    }
  });
}

TEST_CASE("each row is scaled by a number of its own, in place or added") {
  for_sizes([](const Size& s) {
    const Matrix x(s.rows, s.cols, s.gap, 1), scale(1, s.rows, 0, 2);
    const auto expected = [&](int64_t r, int64_t c) { return scale.at(0, r) * x.at(r, c); };
    check_with_beta(
        s.rows, s.cols, s.gap, [&](Side& at, View to, float beta) { at.run().scale_rows(at(x), at(scale), beta, to); },
        expected);
    Both over([&](Side& at) { at.run().scale_rows(at(x), at(scale), 0, at(x)); });
    over.check(x, expected);
  });
}

TEST_CASE("powers of e are those of the reference, in place too") {
  for_sizes([](const Size& s) {
    const Matrix x(s.rows, s.cols, s.gap, 1), y(s.rows, s.cols, s.gap, 2);
    const auto expected = [&](int64_t r, int64_t c) { return std::exp(x.at(r, c)); };
    Both both([&](Side& at) { at.run().exponential(at(x), at(y)); });
    both.check(y, expected);
    Both over([&](Side& at) { at.run().exponential(at(x), at(x)); });
    over.check(x, expected);
  });
}

TEST_CASE("ReLU and its gradient, in place or added, are those of the reference, and nan stays nan") {
  for_sizes([](const Size& s) {
    const Matrix x(s.rows, s.cols, s.gap, 1), dy(s.rows, s.cols, s.gap, 2), y(s.rows, s.cols, s.gap, 3);
    Both forward([&](Side& at) { at.run().relu(at(x), at(y)); });
    forward.check(
        y, [&](int64_t r, int64_t c) { return std::max(x.at(r, c), 0.0); }, 0);
    const auto gradient = [&](int64_t r, int64_t c) { return x.at(r, c) > 0 ? dy.at(r, c) : 0; };
    check_with_beta(
        s.rows, s.cols, s.gap, [&](Side& at, View dx, float beta) { at.run().relu_grad(at(x), at(dy), beta, dx); },
        gradient);
    Both over([&](Side& at) { at.run().relu_grad(at(x), at(dy), 0, at(dy)); });
    over.check(dy, gradient, 0);
  });
  Matrix x(1, 5, 0, 1), y(1, 5, 0, 2);
  x(0, 2) = unset;
  Both both([&](Side& at) { at.run().relu(at(x), at(y)); });
  CHECK(std::isnan(both.tested(y).at(0, 2)));
}

TEST_CASE("GELU and its gradient, both forms, are those of the reference") {
  const double pi = std::acos(-1.0), inner = std::sqrt(2 / pi);
  const auto cdf = [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); };
  const auto exact_slope = [&](double x) { return cdf(x) + x * std::exp(-0.5 * x * x) / std::sqrt(2 * pi); };
  const auto tanh_of = [&](double x) { return std::tanh(inner * (x + 0.044715 * x * x * x)); };
  const auto tanh_slope = [&](double x) {
    const double t = tanh_of(x);
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner * (1 + 3 * 0.044715 * x * x);
  };
  for_sizes([&](const Size& s) {
    const Matrix x(s.rows, s.cols, s.gap, 1, 2), dy(s.rows, s.cols, s.gap, 2), y(s.rows, s.cols, s.gap, 3);
    Both exact([&](Side& at) { at.run().gelu(GeluForm::exact, at(x), at(y)); });
    exact.check(y, [&](int64_t r, int64_t c) { return x.at(r, c) * cdf(x.at(r, c)); });
    Both tanh([&](Side& at) { at.run().gelu(GeluForm::tanh, at(x), at(y)); });
    tanh.check(y, [&](int64_t r, int64_t c) { return 0.5 * x.at(r, c) * (1 + tanh_of(x.at(r, c))); });
    check_with_beta(
        s.rows, s.cols, s.gap,
        [&](Side& at, View dx, float beta) { at.run().gelu_grad(GeluForm::exact, at(x), at(dy), beta, dx); },
        [&](int64_t r, int64_t c) { return dy.at(r, c) * exact_slope(x.at(r, c)); });
    check_with_beta(
        s.rows, s.cols, s.gap,
        [&](Side& at, View dx, float beta) { at.run().gelu_grad(GeluForm::tanh, at(x), at(dy), beta, dx); },
        [&](int64_t r, int64_t c) { return dy.at(r, c) * tanh_slope(x.at(r, c)); });
    const auto sigmoid = [&](int64_t r, int64_t c) { return 1 / (1 + std::exp(-1.702 * x.at(r, c))); };
    Both quick([&](Side& at) { at.run().gelu(GeluForm::quick, at(x), at(y)); });
    quick.check(y, [&](int64_t r, int64_t c) { return x.at(r, c) * sigmoid(r, c); });
    check_with_beta(
        s.rows, s.cols, s.gap,
        [&](Side& at, View dx, float beta) { at.run().gelu_grad(GeluForm::quick, at(x), at(dy), beta, dx); },
        [&](int64_t r, int64_t c) {
          const double u = sigmoid(r, c);
          return dy.at(r, c) * (u + 1.702 * x.at(r, c) * u * (1 - u));
        });
    Both over([&](Side& at) { at.run().gelu_grad(GeluForm::exact, at(x), at(dy), 0, at(dy)); });
    over.check(dy, [&](int64_t r, int64_t c) { return dy.at(r, c) * exact_slope(x.at(r, c)); });
  });
}

TEST_CASE("under bf16 GELU is that of the rounded input") {
  for_sizes([](const Size& s) {
    const Matrix x(s.rows, s.cols, s.gap, 1, 2), y(s.rows, s.cols, s.gap, 3);
    for (const GeluForm form : {GeluForm::exact, GeluForm::tanh, GeluForm::quick})
      check_takes_rounded(x, y, [&](Side& at, const Matrix& in) { at.run().gelu(form, at(in), at(y)); });
  });
}

TEST_CASE(
    "SwiGLU and its gradient are those of the reference, in rows with gaps, and of the rounded input under bf16") {
  for_sizes([](const Size& s) {
    const Matrix x(s.rows, 2 * s.cols, s.gap, 1, 2), dy(s.rows, s.cols, s.gap, 2), y(s.rows, s.cols, s.gap, 3);
    const auto sigmoid = [&](int64_t r, int64_t c) { return 1 / (1 + std::exp(-x.at(r, c))); };
    Both both([&](Side& at) { at.run().swiglu(at(x), at(y)); });
    both.check(y, [&](int64_t r, int64_t c) { return x.at(r, c) * sigmoid(r, c) * x.at(r, s.cols + c); });
    check_with_beta(
        s.rows, 2 * s.cols, s.gap,
        [&](Side& at, View dx, float beta) { at.run().swiglu_grad(at(x), at(dy), beta, dx); },
        [&](int64_t r, int64_t c) {
          if (c >= s.cols) return dy.at(r, c - s.cols) * x.at(r, c - s.cols) * sigmoid(r, c - s.cols);
          const double u = sigmoid(r, c);
          return dy.at(r, c) * x.at(r, s.cols + c) * (u + x.at(r, c) * u * (1 - u));
        });
    check_takes_rounded(x, y, [&](Side& at, const Matrix& in) { at.run().swiglu(at(in), at(y)); });
  });
}

TEST_CASE("GELU keeps its digits far below zero") {
  Matrix x(1, 80, 0, 1), y(1, 80, 0, 2);
  for (int64_t c = 0; c < 80; ++c) x(0, c) = -0.1f * static_cast<float>(c);
  Both both([&](Side& at) { at.run().gelu(GeluForm::exact, at(x), at(y)); });
  const Matrix got = both.tested(y);
  double worst = 0;
  for (int64_t c = 1; c < 80; ++c) {
    const double expected = x.at(0, c) * 0.5 * std::erfc(-x.at(0, c) / std::sqrt(2.0));
    worst = std::max(worst, std::fabs(got.at(0, c) / expected - 1));
  }
  CHECK(worst < 1e-5);
}

TEST_CASE("dropout keeps an element where its word of the stream says so") {
  const StreamKey key{1, 2, 3, 4};
  for_sizes([&](const Size& s) {
    if (s.gap > 0) return;
    const Matrix x(s.rows, s.cols, 0, 1), out(s.rows, s.cols, 0, 2);
    check_with_beta(
        s.rows, s.cols, 0, [&](Side& at, View y, float beta) { at.run().dropout(at(x), 0.75f, key, beta, y); },
        [&](int64_t r, int64_t c) {
          return key.word(static_cast<uint64_t>(r * s.cols + c)) < (3u << 30) ? 0 : x.at(r, c) / 0.25;
        });
    Both both([&](Side& at) { at.run().dropout(at(x), 0.1f, key, 0, at(out)); });
    CHECK(both.tested(out).same_bits(both.other(out)));
  });
}

TEST_CASE("dropout refuses rows with gaps") {
  const Matrix x(3, 5, 1, 1), out(3, 5, 1, 2);
  Side at(tested_backend());
  CHECK(sentence(Fault::internal, [&] {
          at.run().dropout(at(x), 0.25f, {1, 2, 3, 4}, 0, at(out));
        }) == "dropout: contiguous views expected");
}

TEST_CASE("dropout takes operands that begin anywhere") {
  const StreamKey key{1, 2, 3, 4};
  const int64_t n = 64;
  const Matrix x(1, n + 1, 0, 1), out(1, n + 1, 0, 2);
  for (const auto& [from, to] : {std::pair{1, 0}, {0, 1}, {1, 1}}) {
    CAPTURE(from);
    CAPTURE(to);
    Both both([&, f = from, t = to](Side& at) {
      at.run().dropout(ConstView(at(x)).columns(f, n), 0.75f, key, 0, {at(out).row(0) + t, 1, n, n});
    });
    both.check(out, [&, f = from, t = to](int64_t, int64_t c) {
      if (c < t || c >= t + n) return out.at(0, c);
      return key.word(static_cast<uint64_t>(c - t)) < (3u << 30) ? 0 : x.at(0, c - t + f) / 0.25;
    });
  }
}

TEST_CASE("dropout keeps an element whose word is the threshold itself") {
  const StreamKey key{1, 2, 3, 4};
  int64_t i = 0;  // of a word that a probability in f32 can be
  while (key.word(static_cast<uint64_t>(i)) < 1u << 31 || key.word(static_cast<uint64_t>(i)) % 256 != 0) ++i;
  const float p = static_cast<float>(key.word(static_cast<uint64_t>(i))) * 0x1p-32f;
  const Matrix x(1, i + 1, 0, 1), out(1, i + 1, 0, 2);
  Both both([&](Side& at) { at.run().dropout(at(x), p, key, 0, at(out)); });
  CHECK(both.tested(out).at(0, i) != 0);
  CHECK(both.tested(out).same_bits(both.other(out)));
}

TEST_CASE("copy rounds to f16 and bf16 and back, to the nearest and ties to even") {
  const Matrix x(7, 33, 2, 1);
  Backend& run = tested_backend();
  for (const DType type : {DType::f16, DType::bf16}) {
    Side at(run);
    Matrix out(7, 33, 1, 2);
    const Storage room(run.memory(), 7 * 34 * 2, Category::parameters);
    const View narrow(room.data(), 7, 33, 34, type);
    run.copy(at(x), 0, narrow);
    run.copy(narrow, 0, at(out));
    const Matrix got = at.result(out);
    CHECK(error_of(got, [&](int64_t r, int64_t c) { return x.at(r, c); }) < (type == DType::f16 ? 5e-4 : 4e-3));
    Matrix ties(1, 2, 0, 3), back(1, 2, 0, 4);
    const float ulp = type == DType::f16 ? 0x1p-10f : 0x1p-7f;
    ties(0, 0) = 1 + ulp / 2, ties(0, 1) = 1 + 3 * ulp / 2;
    const View two(room.data(), 1, 2, 2, type);
    run.copy(at(ties), 0, two);
    run.copy(two, 0, at(back));
    CHECK(at.result(back)(0, 0) == 1);
    CHECK(at.result(back)(0, 1) == 1 + 2 * ulp);
  }
}
