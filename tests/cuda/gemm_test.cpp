// CUDA's matrix products: that cuBLAS is asked for the right one.
#include "errors.h"
#include "operands.h"

using namespace shear;
using namespace shear::test;

namespace {

constexpr auto no = Transposed::no, yes = Transposed::yes;

struct Product {
  int64_t m, n, k;
};
constexpr Product products[] = {{1, 1, 1},    {1, 33, 5},  {3, 31, 33}, {197, 5, 64}, {31, 197, 101},
                                {2, 3, 1201}, {30, 20, 7}, {0, 5, 3},   {5, 0, 3},    {33, 768, 31}};

std::vector<double> product_of(const Product& p, Transposed ta, const Matrix& a, Transposed tb, const Matrix& b) {
  std::vector<double> out(static_cast<size_t>(p.m * p.n));
  for (int64_t i = 0; i < p.m; ++i)
    for (int64_t j = 0; j < p.n; ++j)
      for (int64_t k = 0; k < p.k; ++k)
        out[static_cast<size_t>(i * p.n + j)] +=
            (ta == yes ? a.at(k, i) : a.at(i, k)) * (tb == yes ? b.at(j, k) : b.at(k, j));
  return out;
}

// f(product, ta, a, tb, b, gap, expected) for every product, transposed or not, with gaps between the rows or not.
template <class F>
void for_products(F f) {
  for (const Product& p : products)
    for (const auto ta : {no, yes})
      for (const auto tb : {no, yes})
        for (const int64_t gap : {0, 3}) {
          CAPTURE(p.m);
          CAPTURE(p.n);
          CAPTURE(p.k);
          const Matrix a(ta == yes ? p.k : p.m, ta == yes ? p.m : p.k, gap, 1),
              b(tb == yes ? p.n : p.k, tb == yes ? p.k : p.n, gap, 2);
          const std::vector<double> all = product_of(p, ta, a, tb, b);
          f(p, ta, a, tb, b, gap, [&](int64_t r, int64_t c) { return all[static_cast<size_t>(r * p.n + c)]; });
        }
}

}  // namespace

TEST_CASE("CUDA: a matrix product is that of the reference, transposed or not, with beta and bias") {
  for_products([](const Product& p, Transposed ta, const Matrix& a, Transposed tb, const Matrix& b, int64_t gap,
                  auto expected) {
    const Matrix bias(1, p.n, 0, 3);
    check_with_beta(
        p.m, p.n, gap, [&](Side& at, View c, float beta) { at.run().gemm(ta, at(a), tb, at(b), beta, c); }, expected);
    check_with_beta(
        p.m, p.n, gap, [&](Side& at, View c, float beta) { at.run().gemm(ta, at(a), tb, at(b), beta, c, at(bias)); },
        [&](int64_t r, int64_t c) { return expected(r, c) + bias.at(0, c); });
  });
}

TEST_CASE("CUDA: a matrix product over nothing is beta times what was there") {
  const Matrix a(3, 0, 4, 1), b(0, 5, 4, 2);
  check_with_beta(
      3, 5, 2, [&](Side& at, View c, float beta) { at.run().gemm(no, at(a), no, at(b), beta, c); },
      [](int64_t, int64_t) { return 0.0; });
}

TEST_CASE("CUDA: a product of bf16 or f16 is that of the rounded numbers, summed in f32") {
  Backend& cuda = cuda_backend();
  const Matrix a(31, 65, 0, 1), b(33, 65, 0, 2), c(31, 33, 0, 3);
  for (const DType type : {DType::bf16, DType::f16}) {
    Side at(cuda);
    const Storage room_a(cuda.memory(), 31 * 65 * 2, Category::parameters),
        room_b(cuda.memory(), 33 * 65 * 2, Category::parameters);
    const View short_a(room_a.data(), 31, 65, 65, type), short_b(room_b.data(), 33, 65, 65, type);
    Matrix rounded_a = a, rounded_b = b;
    cuda.copy(at(a), 0, short_a);
    cuda.copy(at(b), 0, short_b);
    cuda.copy(short_a, 0, at(rounded_a));
    cuda.copy(short_b, 0, at(rounded_b));
    cuda.gemm(no, short_a, yes, short_b, 0, at(c));
    const std::vector<double> all = product_of({31, 33, 65}, no, at.result(rounded_a), yes, at.result(rounded_b));
    CHECK(error_of(at.result(c), [&](int64_t r, int64_t j) { return all[static_cast<size_t>(r * 33 + j)]; }) < 2e-6);
  }
}

TEST_CASE("CUDA: matrices that do not fit each other are refused with their sizes") {
  const Matrix a(3, 4, 0, 1), b(5, 6, 0, 2), c(3, 6, 0, 3);
  Side at(cuda_backend());
  CHECK(sentence(Fault::internal, [&] { at.run().gemm(no, at(a), no, at(b), 0, at(c)); }) ==
        "gemm: (3, 4) x (5, 6) -> (3, 6)");
}
