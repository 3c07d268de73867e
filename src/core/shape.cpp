// Shapes and element types.
#include "shear/shape.h"

#include <algorithm>

#include "shear/error.h"

namespace shear {

size_t size_of(DType t) {
  switch (t) {
    case DType::i8:
    case DType::u8:
    case DType::boolean:
      return 1;
    case DType::f16:
    case DType::bf16:
    case DType::i16:
    case DType::u16:
      return 2;
    case DType::f32:
    case DType::i32:
    case DType::u32:
      return 4;
    case DType::f64:
    case DType::i64:
    case DType::u64:
      return 8;
  }
  fail(Fault::internal, "size_of: ", static_cast<int>(t), " is no element type");
}

std::string_view name(DType t) {
  switch (t) {
    case DType::f32:
      return "F32";
    case DType::f64:
      return "F64";
    case DType::f16:
      return "F16";
    case DType::bf16:
      return "BF16";
    case DType::i8:
      return "I8";
    case DType::u8:
      return "U8";
    case DType::i16:
      return "I16";
    case DType::u16:
      return "U16";
    case DType::i32:
      return "I32";
    case DType::u32:
      return "U32";
    case DType::i64:
      return "I64";
    case DType::u64:
      return "U64";
    case DType::boolean:
      return "BOOL";
  }
  fail(Fault::internal, "name: ", static_cast<int>(t), " is no element type");
}

Shape::Shape(std::initializer_list<int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}

Shape::Shape(std::span<const int64_t> dims) {
  require(dims.size() <= max_rank, "shape: ", dims.size(), " dimensions, expected at most ", max_rank);
  for (const int64_t d : dims) {
    require(d >= 0, "shape: dimension ", rank_, " is ", d, ", expected zero or more");
    dims_[static_cast<size_t>(rank_++)] = d;
  }
}

int64_t Shape::elements() const {
  if (std::find(begin(), end(), 0) != end()) return 0;  // whatever the others are
  int64_t product = 1;
  for (const int64_t d : *this)
    if (__builtin_mul_overflow(product, d, &product))
      fail(Fault::memory, "shape: the elements of ", *this, " are too many to count");
  return product;
}

int64_t Shape::rows() const {
  const int64_t n = cols();
  return n == 0 ? 0 : elements() / n;
}

Shape Shape::with_cols(int64_t n) const {
  require(rank_ > 0, "shape: () has no last dimension to change");
  require(n >= 0, "shape: ", n, " columns, expected zero or more");
  Shape s = *this;
  s.dims_[static_cast<size_t>(rank_ - 1)] = n;
  return s;
}

Shape Shape::with_first(int64_t n) const {
  require(rank_ > 0, "shape: () has no first dimension to change");
  require(n >= 0, "shape: ", n, " in the first dimension, expected zero or more");
  Shape s = *this;
  s.dims_[0] = n;
  return s;
}

std::string Shape::str() const {
  std::string s = "(";
  for (int i = 0; i < rank_; ++i) s.append(i > 0 ? ", " : "").append(std::to_string((*this)[i]));
  return s + ")";
}

bool Shape::operator==(const Shape& other) const { return std::equal(begin(), end(), other.begin(), other.end()); }

std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << shape.str(); }

}  // namespace shear
