// Shapes and element types.
#include "shear/shape.h"

#include <doctest/doctest.h>

#include <limits>
#include <vector>

#include "shear/error.h"

using namespace shear;

TEST_CASE("a shape counts its elements, rows and columns") {
  const Shape s = {2, 197, 768};
  CHECK(s.rank() == 3);
  CHECK(s[0] == 2);
  CHECK(s[-1] == 768);
  CHECK(s[-3] == 2);
  CHECK(s.elements() == 2 * 197 * 768);
  CHECK(s.cols() == 768);
  CHECK(s.rows() == 2 * 197);
  CHECK(std::vector<int64_t>(s.begin(), s.end()) == std::vector<int64_t>{2, 197, 768});
}

TEST_CASE("a shape without dimensions holds one element") {
  const Shape s;
  CHECK(s.rank() == 0);
  CHECK(s.elements() == 1);
  CHECK(s.rows() == 1);
  CHECK(s.cols() == 1);
  CHECK(s.str() == "()");
}

TEST_CASE("an empty dimension makes an empty shape, however large the others") {
  const int64_t huge = std::numeric_limits<int64_t>::max();
  CHECK(Shape{huge, huge, 0}.elements() == 0);
  CHECK(Shape{huge, huge, 0}.rows() == 0);
  CHECK(Shape{0, huge, huge}.elements() == 0);
  CHECK(Shape{0, 3}.rows() == 0);
}

TEST_CASE("elements that are too many to count throw, and the last countable number does not") {
  const int64_t huge = std::numeric_limits<int64_t>::max();
  CHECK(Shape{1, huge, 1}.elements() == huge);
  CHECK(Shape{int64_t{1} << 31, int64_t{1} << 31}.elements() == int64_t{1} << 62);
  const Shape over = {int64_t{1} << 31, int64_t{1} << 32};
  CHECK_THROWS_WITH_AS(over.elements(), "shape: the elements of (2147483648, 4294967296) are too many to count", Error);
}

TEST_CASE("six dimensions are a shape and seven are not") {
  CHECK(Shape{1, 2, 3, 4, 5, 6}.elements() == 720);
  CHECK_THROWS_WITH_AS((Shape{1, 2, 3, 4, 5, 6, 7}), "shape: 7 dimensions, expected at most 6", Error);
}

TEST_CASE("a negative dimension is refused") {
  CHECK_THROWS_WITH_AS((Shape{4, -1}), "shape: dimension 1 is -1, expected zero or more", Error);
  CHECK_THROWS_WITH_AS((Shape{4, 1}.with_cols(-2)), "shape: -2 columns, expected zero or more", Error);
}

TEST_CASE("another number of columns changes the last dimension only") {
  const Shape s = {2, 3, 4};
  CHECK(s.with_cols(9) == Shape{2, 3, 9});
  CHECK(s == Shape{2, 3, 4});
  CHECK_THROWS_AS(Shape().with_cols(1), Error);
}

TEST_CASE("shapes are equal in rank and every dimension") {
  CHECK(Shape{2, 3} == Shape(std::vector<int64_t>{2, 3}));
  CHECK(Shape{2, 3} != Shape{3, 2});
  CHECK(Shape{2, 3} != Shape{2, 3, 1});
  CHECK(Shape{2} != Shape{2, 0});
  CHECK(Shape() == Shape());
}

TEST_CASE("a shape prints as a tuple") {
  CHECK(Shape{128, 197, 768}.str() == "(128, 197, 768)");
  CHECK(Shape{7}.str() == "(7)");
  CHECK(text("input ", Shape{4, 0}) == "input (4, 0)");
}

TEST_CASE("an element type has the name and the size that files give it") {
  const struct {
    DType type;
    size_t bytes;
    std::string_view spelt;
  } all[] = {{DType::f32, 4, "F32"},     {DType::f64, 8, "F64"}, {DType::f16, 2, "F16"}, {DType::bf16, 2, "BF16"},
             {DType::i8, 1, "I8"},       {DType::u8, 1, "U8"},   {DType::i16, 2, "I16"}, {DType::u16, 2, "U16"},
             {DType::i32, 4, "I32"},     {DType::u32, 4, "U32"}, {DType::i64, 8, "I64"}, {DType::u64, 8, "U64"},
             {DType::boolean, 1, "BOOL"}};
  for (const auto& t : all) {
    CHECK(size_of(t.type) == t.bytes);
    CHECK(name(t.type) == t.spelt);
  }
  CHECK_THROWS_AS(size_of(static_cast<DType>(99)), Error);
  CHECK_THROWS_AS(name(static_cast<DType>(99)), Error);
}
