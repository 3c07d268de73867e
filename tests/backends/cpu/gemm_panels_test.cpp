// Products of matrices in tiles, by each dot product, and by Eigen's kernel.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "backends/cpu/gemm_panels.h"
#include "errors.h"
#include "shear/io.h"
#include "shear/make_backend.h"

using namespace shear;
using namespace shear::test;
using cpu::DotProduct;

namespace {

constexpr std::array both{Transposed::no, Transposed::yes};

std::vector<float> numbers(int64_t n, uint32_t which) {
  std::vector<float> x(static_cast<size_t>(n));
  Stream stream(9, Purpose::test, which);
  for (float& v : x) v = stream.normal();
  return x;
}
std::vector<uint16_t> shortened(const std::vector<float>& x) {
  std::vector<uint16_t> y(x.size());
  std::transform(x.begin(), x.end(), y.begin(), f32_to_bf16);
  return y;
}

// A matrix of rows x cols as op() of what lies in memory, whose rows have a gap of three.
struct Matrix {
  Matrix(Transposed t, int64_t rows, int64_t cols, uint32_t which)
      : turned(t == Transposed::yes),
        rows_there(turned ? cols : rows),
        cols_there(turned ? rows : cols),
        stride(cols_there + 3),
        values(numbers(rows_there * stride, which)),
        halves(shortened(values)) {}
  ConstView view() const { return {values.data(), rows_there, cols_there, stride}; }
  ConstView short_view() const { return {halves.data(), rows_there, cols_there, stride, DType::bf16}; }
  double at(int64_t r, int64_t c, bool rounded) const {
    const size_t i = static_cast<size_t>(turned ? c * stride + r : r * stride + c);
    return static_cast<double>(rounded ? bf16_to_f32(halves[i]) : values[i]);
  }
  bool turned;
  int64_t rows_there, cols_there, stride;
  std::vector<float> values;
  std::vector<uint16_t> halves;
};

struct Product {
  int64_t m, n, k;
};
const Product products[] = {{1, 1, 1},  {14, 32, 576}, {15, 33, 577}, {31, 1, 197},
                            {1, 65, 2}, {197, 70, 31}, {33, 1600, 3}, {29, 47, 1201}};

}  // namespace

TEST_CASE("a product is that of its operands, in bf16 of rounded ones, with beta and bias, for sizes with tails") {
  HostAllocator memory;
  cpu::PackBuffer pack(memory);
  const std::optional<DotProduct> eigen;
  for (const auto how : {eigen, {DotProduct::f32}, {cpu::fastest_bf16()}, {DotProduct::bf16_portable}})
    for (const auto [m, n, k] : products)
      for (const Transposed ta : both)
        for (const Transposed tb : both)
          for (const float beta : {0.f, 1.f, 0.5f}) {
            CAPTURE(m);
            CAPTURE(n);
            CAPTURE(k);
            const Matrix a(ta, m, k, 1), b(tb, k, n, 2);
            const std::vector<float> bias = numbers(n, 3), before = numbers(m * (n + 2), 4);
            std::vector<float> c = before;
            if (beta == 0)
              for (float& v : c) v = std::numeric_limits<float>::quiet_NaN();
            const View to(c.data(), m, n, n + 2);
            const ConstView row(bias.data(), 1, n, n);
            if (how)
              gemm_panels(*how, ta, a.view(), tb, b.view(), beta, to, row, pack);
            else
              gemm_serial(ta, a.view(), tb, b.view(), beta, to, row, pack);
            const bool rounded = how && how != DotProduct::f32;
            double worst = 0;
            for (int64_t r = 0; r < m; ++r)
              for (int64_t i = 0; i < n; ++i) {
                double sum = static_cast<double>(bias[static_cast<size_t>(i)]), size = std::fabs(sum) + 1;
                if (beta != 0) sum += static_cast<double>(beta * before[static_cast<size_t>(r * (n + 2) + i)]);
                for (int64_t j = 0; j < k; ++j) {
                  const double term = a.at(r, j, rounded) * b.at(j, i, rounded);
                  sum += term;
                  size += std::fabs(term);
                }
                const double error =
                    std::fabs(static_cast<double>(c[static_cast<size_t>(r * (n + 2) + i)]) - sum) / size;
                worst = error <= worst ? worst : error;
              }
            CHECK(worst < 2e-6);
          }
}

TEST_CASE("operands that are bf16 already give the bits of f32 ones, which are rounded on the way") {
  const auto backend = make_cpu_backend(2, Precision::bf16);
  for (const auto [m, n, k] : products)
    for (const Transposed ta : both)
      for (const Transposed tb : both) {
        const Matrix a(ta, m, k, 1), b(tb, k, n, 2);
        std::vector<std::vector<float>> results;
        for (const ConstView x : {a.view(), a.short_view()})
          for (const ConstView y : {b.view(), b.short_view()}) {
            std::vector<float>& c = results.emplace_back(static_cast<size_t>(m * n));
            backend->gemm(ta, x, tb, y, 0, View(c.data(), m, n, n));
          }
        for (const auto& c : results) CHECK(c == results[0]);
      }
}

TEST_CASE(
    "a product in bf16 has the same bits on any number of threads, and over nothing is beta times what was there") {
  const Matrix a(Transposed::no, 203, 700, 1), b(Transposed::yes, 700, 150, 2);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 3}) {
    std::vector<float>& c = results.emplace_back(size_t{203} * 150);
    make_cpu_backend(threads, Precision::bf16)
        ->gemm(Transposed::no, a.view(), Transposed::yes, b.view(), 0, View(c.data(), 203, 150, 150));
  }
  CHECK(results[1] == results[0]);
  CHECK(results[2] == results[0]);
  std::vector<float> c{1, 2};
  make_cpu_backend(1, Precision::bf16)
      ->gemm(Transposed::no, ConstView(c.data(), 1, 0, 0), Transposed::no, ConstView(c.data(), 0, 2, 2), 0.5f,
             View(c.data(), 1, 2, 2));
  CHECK(c == std::vector<float>{0.5f, 1});
}

TEST_CASE("nan and infinity come out of a product in bf16, and a value that rounds beyond the largest is infinite") {
  HostAllocator memory;
  cpu::PackBuffer pack(memory);
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const DotProduct how : {cpu::fastest_bf16(), DotProduct::bf16_portable})
    for (const float special : {inf, -inf, nan, std::numeric_limits<float>::max()}) {
      const std::vector<float> a{1, special, 2}, b{3, 1, 1};
      float c = 0;
      gemm_panels(how, Transposed::no, ConstView(a.data(), 1, 3, 3), Transposed::no, ConstView(b.data(), 3, 1, 1), 0,
                  View(&c, 1, 1, 1), {}, pack);
      CAPTURE(special);
      CHECK((std::isnan(special) ? std::isnan(c) : std::isinf(c) && (c > 0) == (special > 0)));
    }
}

TEST_CASE("an f32 backend takes no bf16 operands") {
  const Matrix a(Transposed::no, 2, 3, 1), b(Transposed::no, 3, 2, 2);
  std::vector<float> c(4);
  const std::string said = sentence(Fault::internal, [&] {
    make_cpu_backend(1)->gemm(Transposed::no, a.short_view(), Transposed::no, b.view(), 0, View(c.data(), 2, 2, 2));
  });
  CHECK(said == "gemm: BF16 x F32 -> F32, expected F32");
}
