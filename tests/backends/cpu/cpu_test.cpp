// The CPU's kernels against naive loops in f64: strided views, sizes with tails, beta, results in place, two threads.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "backends/cpu/vector_math.h"
#include "errors.h"
#include "matrix.h"
#include "shear/make_backend.h"
#include "tape/contract.h"

using namespace shear;
using namespace shear::test;

namespace {

// The CPU takes a matrix as it lies in the host's memory.
struct Operand : Matrix {
  using Matrix::Matrix;
  operator View() { return {data().data(), rows(), cols(), stride()}; }
  operator ConstView() const { return {data().data(), rows(), cols(), stride()}; }
};

// Runs kernel(out, beta) for several beta, and compares with f + beta * what was there.  At beta 0 there is nan.
template <class Kernel, class F>
void check_with_beta(int64_t rows, int64_t cols, int64_t gap, Kernel kernel, F f, double tolerance = 2e-6) {
  for (const float beta : {0.f, 1.f, 0.5f}) {
    CAPTURE(beta);
    Operand out(rows, cols, gap, 99);
    const Operand before = out;
    if (beta == 0) out.fill(unset);
    kernel(out, beta);
    CHECK(error_of(out, [&](int64_t r, int64_t c) { return f(r, c) + static_cast<double>(beta) * before.at(r, c); }) <=
          tolerance);
  }
}

struct Size {
  int64_t rows, cols, gap;
};
constexpr Size sizes[] = {{1, 1, 0},    {1, 33, 7},    {3, 33, 0},    {3, 33, 5},   {197, 31, 0},
                          {197, 33, 3}, {40, 1000, 0}, {41, 1001, 7}, {1, 20001, 0}};

// f(backend, size) for every size, on one thread and on two.
template <class F>
void for_sizes(F f) {
  for (const int threads : {1, 2}) {
    const auto cpu = make_cpu_backend(threads);
    for (const Size& s : sizes) {
      CAPTURE(threads);
      CAPTURE(s.rows);
      CAPTURE(s.cols);
      CAPTURE(s.gap);
      f(*cpu, s);
    }
  }
}

}  // namespace

// -- Functions of one number ----------------------------------------------------------------------------------------

TEST_CASE("exp, tanh and the normal distribution are as accurate as their header says") {
  double of_exp = 0, of_tanh = 0, of_tail = 0, far_tail = 0;
  for (int i = -870000; i <= 880000; i += 7) {
    const float x = static_cast<float>(i) * 1e-4f;
    const double expected = std::exp(static_cast<double>(x));
    of_exp = std::max(of_exp, std::fabs(static_cast<double>(cpu::exp(x)) / expected - 1));
  }
  for (int i = 1; i <= 100000; ++i) {
    const float x = static_cast<float>(i) * 1e-4f;
    const double z = static_cast<double>(x);
    of_tanh = std::max(of_tanh, std::fabs(static_cast<double>(cpu::tanh(x)) / std::tanh(z) - 1));
    CHECK(cpu::tanh(-x) == -cpu::tanh(x));
    const double tail = std::fabs(static_cast<double>(cpu::normal(x).tail) / (0.5 * std::erfc(z / std::sqrt(2.0))) - 1);
    (i <= 20000 ? of_tail : far_tail) = std::max(i <= 20000 ? of_tail : far_tail, tail);
  }
  CHECK(of_exp < 2e-7);
  CHECK(of_tanh < 3e-7);
  CHECK(of_tail < 4e-7);   // to two deviations
  CHECK(far_tail < 5e-6);  // to ten: x^2 / 2 is rounded before it is exponentiated
  CHECK(cpu::tanh(0.f) == 0);
  CHECK(cpu::exp(0.f) == 1);
}

TEST_CASE("exp and tanh of infinities are their limits, and nan stays nan") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  CHECK(cpu::exp(-infinity) < 2e-38f);
  CHECK(cpu::exp(infinity) > 1e38f);
  CHECK(cpu::tanh(infinity) == 1);
  CHECK(cpu::tanh(-infinity) == -1);
  CHECK(std::isnan(cpu::exp(unset)));
  CHECK(std::isnan(cpu::tanh(unset)));
  CHECK(std::isnan(cpu::normal(unset).tail));
}

// -- Memory and elements --------------------------------------------------------------------------------------------

TEST_CASE("fill and copy write a view and nothing beside it") {
  for_sizes([](Backend& cpu, const Size& s) {
    Operand out(s.rows, s.cols, s.gap, 1);
    cpu.fill(out, 2.5f);
    CHECK(error_of(out, [](int64_t, int64_t) { return 2.5; }) == 0);
    const Operand x(s.rows, s.cols, s.gap + 2, 2);
    check_with_beta(
        s.rows, s.cols, s.gap, [&](View to, float beta) { cpu.copy(x, beta, to); },
        [&](int64_t r, int64_t c) { return x.at(r, c); });
  });
}

TEST_CASE("sums of matrices and rows are those of the reference") {
  for_sizes([](Backend& cpu, const Size& s) {
    const Operand a(s.rows, s.cols, s.gap, 1), b(s.rows, s.cols, s.gap + 1, 2), row(1, s.cols, 0, 3);
    Operand out(s.rows, s.cols, s.gap, 4);
    cpu.add(a, b, out);
    CHECK(error_of(out, [&](int64_t r, int64_t c) { return a.at(r, c) + b.at(r, c); }) < 1e-6);
    cpu.add_row(a, row, out);
    CHECK(error_of(out, [&](int64_t r, int64_t c) { return a.at(r, c) + row.at(0, c); }) < 1e-6);
    const ConstView same_row(ConstView(row).data, s.rows, s.cols, 0);  // one row seen as many
    cpu.add_row(same_row, row, out);
    CHECK(error_of(out, [&](int64_t, int64_t c) { return 2 * row.at(0, c); }) < 1e-6);
  });
}

TEST_CASE("ReLU and GELU, and their gradients in place or added, are those of the reference") {
  const auto cdf = [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); };
  const auto slope = [&](double x) { return cdf(x) + x * std::exp(-0.5 * x * x) / std::sqrt(2 * std::acos(-1.0)); };
  for_sizes([&](Backend& cpu, const Size& s) {
    const Operand x(s.rows, s.cols, s.gap, 1), dy(s.rows, s.cols, s.gap, 2);
    Operand y(s.rows, s.cols, s.gap, 3);
    cpu.relu(x, y);
    CHECK(error_of(y, [&](int64_t r, int64_t c) { return std::max(x.at(r, c), 0.0); }) == 0);
    const auto relu_grad = [&](int64_t r, int64_t c) { return x.at(r, c) > 0 ? dy.at(r, c) : 0; };
    check_with_beta(
        s.rows, s.cols, s.gap, [&](View dx, float beta) { cpu.relu_grad(y, dy, beta, dx); }, relu_grad);
    Operand over = dy;
    cpu.relu_grad(y, over, 0, over);
    CHECK(error_of(over, relu_grad) == 0);

    cpu.gelu(GeluForm::exact, x, y);
    CHECK(error_of(y, [&](int64_t r, int64_t c) { return x.at(r, c) * cdf(x.at(r, c)); }) < 1e-6);
    const auto gelu_grad = [&](int64_t r, int64_t c) { return dy.at(r, c) * slope(x.at(r, c)); };
    check_with_beta(
        s.rows, s.cols, s.gap, [&](View dx, float beta) { cpu.gelu_grad(GeluForm::exact, x, dy, beta, dx); },
        gelu_grad);
    over = dy;
    cpu.gelu_grad(GeluForm::exact, x, over, 0, over);
    CHECK(error_of(over, gelu_grad) < 1e-6);
  });
}

TEST_CASE("dropout keeps an element where its word of the stream says so, and refuses rows with gaps") {
  const StreamKey key{1, 2, 3, 4};
  for_sizes([&](Backend& cpu, const Size& s) {
    const Operand x(s.rows, s.cols, s.gap, 1);
    if (!ConstView(x).contiguous()) {
      Operand y = x;
      CHECK(sentence(Fault::internal, [&] { cpu.dropout(x, 0.25f, key, 0, y); }) ==
            "dropout: contiguous views expected");
      return;
    }
    check_with_beta(
        s.rows, s.cols, s.gap, [&](View y, float beta) { cpu.dropout(x, 0.75f, key, beta, y); },
        [&](int64_t r, int64_t c) {
          return key.word(static_cast<uint64_t>(r * s.cols + c)) < (3u << 30) ? 0 : x.at(r, c) / 0.25;
        });
  });
}

// -- Linear algebra -------------------------------------------------------------------------------------------------

TEST_CASE("a matrix product is that of the reference, transposed or not, with beta and bias, for sizes with tails") {
  struct {
    int64_t m, n, k;
  } constexpr products[] = {{1, 1, 1},      {1, 33, 5},   {3, 31, 33},  {197, 5, 64},
                            {31, 197, 401}, {2, 3, 1201}, {300, 200, 7}};
  constexpr auto no = Transposed::no, yes = Transposed::yes;
  for (const int threads : {1, 2}) {
    const auto cpu = make_cpu_backend(threads);
    for (const auto& p : products)
      for (const auto ta : {no, yes})
        for (const auto tb : {no, yes})
          for (const int64_t gap : {0, 3}) {
            CAPTURE(p.m);
            CAPTURE(p.n);
            CAPTURE(p.k);
            const Operand a(ta == yes ? p.k : p.m, ta == yes ? p.m : p.k, gap, 1),
                b(tb == yes ? p.n : p.k, tb == yes ? p.k : p.n, gap, 2);
            const Operand bias(1, p.n, 0, 3);
            std::vector<double> product(static_cast<size_t>(p.m * p.n));
            for (int64_t i = 0; i < p.m; ++i)
              for (int64_t j = 0; j < p.n; ++j)
                for (int64_t k = 0; k < p.k; ++k)
                  product[static_cast<size_t>(i * p.n + j)] +=
                      (ta == yes ? a.at(k, i) : a.at(i, k)) * (tb == yes ? b.at(j, k) : b.at(k, j));
            const auto expected = [&](int64_t r, int64_t c) { return product[static_cast<size_t>(r * p.n + c)]; };
            check_with_beta(
                p.m, p.n, gap, [&](View c, float beta) { cpu->gemm(ta, a, tb, b, beta, c); }, expected);
            check_with_beta(
                p.m, p.n, gap, [&](View c, float beta) { cpu->gemm(ta, a, tb, b, beta, c, bias); },
                [&](int64_t r, int64_t c) { return expected(r, c) + bias.at(0, c); });
          }
  }
}

TEST_CASE("a matrix product over nothing is beta times what was there") {
  const auto cpu = make_cpu_backend(2);
  const Operand a(3, 0, 4, 1), b(0, 5, 4, 2);
  check_with_beta(
      3, 5, 2, [&](View c, float beta) { cpu->gemm(Transposed::no, a, Transposed::no, b, beta, c); },
      [](int64_t, int64_t) { return 0.0; });
}

TEST_CASE("a weight's gradient summed over bands of rows has the bits of the whole sum") {
  for (const int threads : {1, 2}) {
    const auto cpu = make_cpu_backend(threads);
    const Operand dy(2 * band_rows + 77, 13, 0, 1), x(2 * band_rows + 77, 37, 0, 2);
    Operand whole(13, 37, 0, 3), banded(13, 37, 0, 4);
    cpu->gemm(Transposed::yes, dy, Transposed::no, x, 0, whole);
    for (int64_t first = 0; first < x.rows(); first += band_rows) {
      const int64_t n = std::min(band_rows, x.rows() - first);
      cpu->gemm(Transposed::yes, ConstView(dy).band(first, n), Transposed::no, ConstView(x).band(first, n),
                first == 0 ? 0.f : 1.f, banded);
    }
    CHECK(whole.same_bits(banded));
  }
}

TEST_CASE("matrices that do not fit each other are refused with their sizes") {
  const auto cpu = make_cpu_backend(1);
  const Operand a(3, 4, 0, 1), b(5, 6, 0, 2);
  Operand c(3, 6, 0, 3);
  CHECK(sentence(Fault::internal, [&] { cpu->gemm(Transposed::no, a, Transposed::no, b, 0, c); }) ==
        "gemm: (3, 4) x (5, 6) -> (3, 6)");
  CHECK(sentence(Fault::internal, [&] { cpu->gemm(Transposed::yes, a, Transposed::no, b, 0, c); }) ==
        "gemm: (3, 4)' x (5, 6) -> (3, 6)");
}

TEST_CASE("sums of columns, of squares and means are those of the reference") {
  for_sizes([](Backend& cpu, const Size& s) {
    const Operand x(s.rows, s.cols, s.gap, 1);
    double squares = 0, sum = 0;
    std::vector<double> columns(static_cast<size_t>(s.cols));
    for (int64_t r = 0; r < s.rows; ++r)
      for (int64_t c = 0; c < s.cols; ++c) {
        squares += x.at(r, c) * x.at(r, c);
        sum += x.at(r, c);
        columns[static_cast<size_t>(c)] += x.at(r, c);
      }
    check_with_beta(
        1, s.cols, 0, [&](View out, float beta) { cpu.column_sums(x, beta, out); },
        [&](int64_t, int64_t c) { return columns[static_cast<size_t>(c)]; });
    CHECK(cpu.sum_squares(x) == doctest::Approx(squares).epsilon(1e-12));
    Operand mean(1, 1, 0, 2);
    cpu.mean(x, mean);
    CHECK(std::fabs(mean.at(0, 0) - sum / static_cast<double>(s.rows * s.cols)) < 1e-6);
  });
}

// -- Optimizers -----------------------------------------------------------------------------------------------------

TEST_CASE("three steps of SGD are those of the reference, with momentum, Nesterov's or plain, and weight decay") {
  for (const bool nesterov : {false, true})
    for (const int64_t n : {1, 33, 20001}) {
      const SgdStep s{
          .lr = 0.1f, .momentum = 0.9f, .weight_decay = 0.02f, .gradient_scale = 0.5f, .nesterov = nesterov};
      const auto cpu = make_cpu_backend(2);
      Operand w(1, n, 0, 1), v(1, n, 0, 2);
      const Operand g(1, n, 0, 3), w0 = w, v0 = v;
      for (int step = 0; step < 3; ++step) cpu->sgd(s, w, g, v, {});
      CHECK(error_of(w, [&](int64_t, int64_t c) {
              double weight = w0.at(0, c), velocity = v0.at(0, c);
              for (int step = 0; step < 3; ++step) {
                const double d = 0.5 * g.at(0, c) + 0.02 * weight;
                velocity = 0.9 * velocity + d;
                weight -= 0.1 * (nesterov ? d + 0.9 * velocity : velocity);
              }
              return weight;
            }) < 1e-6);
    }
}

TEST_CASE("three steps of AdamW are those of the reference, with bias correction and decoupled weight decay") {
  for (const int64_t n : {1, 33, 20001}) {
    const auto cpu = make_cpu_backend(2);
    Operand w(1, n, 0, 1), m(1, n, 0, 2), v(1, n, 0, 2);
    cpu->fill(m, 0);
    cpu->fill(v, 0);
    const Operand g(1, n, 0, 3), w0 = w;
    for (int t = 1; t <= 3; ++t)
      cpu->adamw({.lr = 0.01f,
                  .beta1 = 0.9f,
                  .beta2 = 0.999f,
                  .epsilon = 1e-8f,
                  .weight_decay = 0.1f,
                  .gradient_scale = 0.5f,
                  .correction1 = static_cast<float>(1 - std::pow(0.9, t)),
                  .correction2 = static_cast<float>(1 - std::pow(0.999, t))},
                 w, g, m, v, {});
    CHECK(error_of(w, [&](int64_t, int64_t c) {
            double weight = w0.at(0, c), first = 0, second = 0;
            for (int t = 1; t <= 3; ++t) {
              const double d = 0.5 * g.at(0, c);
              first = 0.9 * first + 0.1 * d;
              second = 0.999 * second + 0.001 * d * d;
              weight -= 0.01 * (0.1 * weight +
                                first / (1 - std::pow(0.9, t)) / (std::sqrt(second / (1 - std::pow(0.999, t))) + 1e-8));
            }
            return weight;
          }) < 1e-6);
  }
}

TEST_CASE("a column that is not active keeps its weights and its state, and the others are updated as ever") {
  const auto cpu = make_cpu_backend(2);
  const int64_t rows = 7, cols = 5;
  const std::vector<float> on{1, 0, 1, 1, 0};
  const ConstView active(on.data(), 1, cols, cols);
  const Operand g(rows, cols, 0, 3);
  Operand w(rows, cols, 0, 1), v(rows, cols, 0, 2);
  const Operand w0 = w, v0 = v;
  Operand w_all = w, v_all = v;
  const SgdStep s{.lr = 0.1f, .momentum = 0.9f, .weight_decay = 0.02f, .gradient_scale = 1, .nesterov = false};
  cpu->sgd(s, w, g, v, active);
  cpu->sgd(s, w_all, g, v_all, {});
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c) {
      const bool updated = on[static_cast<size_t>(c)] != 0;
      CHECK(w.at(r, c) == (updated ? w_all : w0).at(r, c));
      CHECK(v.at(r, c) == (updated ? v_all : v0).at(r, c));
    }
  Operand m2(rows, cols, 0, 2), second(rows, cols, 0, 4);
  cpu->fill(second, 1);
  const Operand m0 = m2, second0 = second, w1 = w;
  cpu->adamw({.lr = 0.01f,
              .beta1 = 0.9f,
              .beta2 = 0.999f,
              .epsilon = 1e-8f,
              .weight_decay = 0.1f,
              .gradient_scale = 1,
              .correction1 = 0.1f,
              .correction2 = 0.001f},
             w, g, m2, second, active);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c) {
      const bool updated = on[static_cast<size_t>(c)] != 0;
      CHECK((w.at(r, c) != w1.at(r, c)) == updated);
      CHECK((m2.at(r, c) != m0.at(r, c)) == updated);
      CHECK((second.at(r, c) != second0.at(r, c)) == updated);
    }
}
