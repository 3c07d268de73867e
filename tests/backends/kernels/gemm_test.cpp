// Matrix products.
#include "errors.h"
#include "operands.h"

using namespace shear;
using namespace shear::test;

namespace {

constexpr auto no = Transposed::no, yes = Transposed::yes;

struct Product {
  int64_t m, n, k;
};
constexpr Product products[] = {{1, 1, 1},   {1, 33, 5}, {3, 31, 33}, {197, 5, 64},  {31, 197, 101}, {2, 3, 1201},
                                {30, 20, 7}, {0, 5, 3},  {5, 0, 3},   {33, 768, 31}, {300, 200, 7}};

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

TEST_CASE("a matrix product is that of the reference, transposed or not, with beta and bias") {
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

TEST_CASE("a matrix product over nothing is beta times what was there") {
  const Matrix a(3, 0, 4, 1), b(0, 5, 4, 2);
  check_with_beta(
      3, 5, 2, [&](Side& at, View c, float beta) { at.run().gemm(no, at(a), no, at(b), beta, c); },
      [](int64_t, int64_t) { return 0.0; });
}

namespace {

// Products on a backend of bf16, of operands that are f32 or bf16 already.
class Bf16 {
 public:
  void check(const Product& p, Transposed ta, bool short_a, Transposed tb, bool short_b) {
    CAPTURE(p.m);
    CAPTURE(p.k);
    CAPTURE(ta == yes);
    CAPTURE(tb == yes);
    CAPTURE(short_a);
    CAPTURE(short_b);
    const Matrix a(ta == yes ? p.k : p.m, ta == yes ? p.m : p.k, 2, 1),
        b(tb == yes ? p.n : p.k, tb == yes ? p.k : p.n, 2, 2), c(p.m, p.n, 1, 3);
    Side at(*run_);
    const Storage room_a = room(a), room_b = room(b);
    run_->gemm(ta, short_a ? narrow(at, a, room_a) : ConstView(at(a)), tb,
               short_b ? narrow(at, b, room_b) : ConstView(at(b)), 0.5f, at(c));
    const std::vector<double> all = product_of(p, ta, rounded(a), tb, rounded(b));
    CHECK(error_of(at.result(c), [&](int64_t r, int64_t j) {
            return all[static_cast<size_t>(r * p.n + j)] + 0.5 * c.at(r, j);
          }) < 2e-5);
  }

 private:
  Storage room(const Matrix& m) { return {run_->memory(), m.data().size() * 2, Category::parameters}; }
  ConstView narrow(Side& at, const Matrix& m, const Storage& room) {
    const View out(room.data(), m.rows(), m.cols(), m.stride(), DType::bf16);
    run_->copy(at(m), 0, out);
    return out;
  }
  Matrix rounded(const Matrix& m) {
    Side at(*run_);
    const Storage in_bf16 = room(m);
    run_->copy(narrow(at, m, in_bf16), 0, at(m));
    return at.result(m);
  }

  std::unique_ptr<Backend> run_ = make_backend(tested_device, 2, Precision::bf16);
};

}  // namespace

TEST_CASE("under bf16 a product is that of the rounded numbers, summed in f32, whichever are bf16 already") {
  Bf16 bf16;
  for (const Product& p : {Product{31, 33, 65}, Product{3, 9, 2000}, Product{2000, 3, 9}, Product{5, 7, 0}})
    for (const auto ta : {no, yes})
      for (const auto tb : {no, yes})
        for (const bool short_a : {false, true})
          for (const bool short_b : {false, true}) bf16.check(p, ta, short_a, tb, short_b);
}

TEST_CASE("under bf16 a large operand in f32 is rounded in bands of its rows") {
  Bf16 bf16;  // 2,097,152 numbers at a time
  for (const auto t : {no, yes}) {
    bf16.check({1500, 2, 1501}, t, false, no, true);
    bf16.check({2, 1500, 1501}, no, true, t, false);
  }
}

TEST_CASE("only a backend of bf16 takes numbers in bf16") {
  const Matrix a(3, 4, 0, 1), c(3, 3, 0, 3);
  Side at(tested_backend());
  const ConstView narrow(at(a).data, 3, 4, 4, DType::bf16);
  CHECK(sentence(Fault::internal, [&] { at.run().gemm(no, narrow, yes, at(a), 0, at(c)); }) ==
        "gemm: BF16 x F32 -> F32, expected F32");
}

TEST_CASE("matrices that do not fit each other are refused with their sizes") {
  const Matrix a(3, 4, 0, 1), b(5, 6, 0, 2), c(3, 6, 0, 3);
  Side at(tested_backend());
  CHECK(sentence(Fault::internal, [&] { at.run().gemm(no, at(a), no, at(b), 0, at(c)); }) ==
        "gemm: (3, 4) x (5, 6) -> (3, 6)");
  CHECK(sentence(Fault::internal, [&] { at.run().gemm(yes, at(a), no, at(b), 0, at(c)); }) ==
        "gemm: (3, 4)' x (5, 6) -> (3, 6)");
}
