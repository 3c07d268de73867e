// Shapes and element types.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <span>
#include <string>
#include <string_view>

#include "shear/api.h"

namespace SHEAR_API shear {

// How an element is stored.  Arithmetic is always in f32; the short types are for sleeping values and files.
enum class DType : uint8_t { f32, f64, f16, bf16, i8, u8, i16, u16, i32, u32, i64, u64, boolean };

size_t size_of(DType);         // bytes of one element
std::string_view name(DType);  // "F32", "BF16", ... as safetensors spells them

// Up to six dimensions, row-major, the last one contiguous.  (B, N, D) reads as B*N rows of D columns.
class Shape {
 public:
  static constexpr int max_rank = 6;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);
  explicit Shape(std::span<const int64_t> dims);  // throws beyond max_rank or below zero

  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return dims_[static_cast<size_t>(axis < 0 ? axis + rank_ : axis)]; }
  int64_t elements() const;  // 1 for rank 0; throws where the product overflows
  int64_t cols() const { return rank_ == 0 ? 1 : dims_[static_cast<size_t>(rank_ - 1)]; }
  int64_t rows() const;               // elements() / cols(), 0 where cols() is 0
  Shape with_cols(int64_t n) const;   // the same, but for the last dimension
  Shape with_first(int64_t n) const;  // the same, but for the first dimension
  const int64_t* begin() const { return dims_.data(); }
  const int64_t* end() const { return dims_.data() + rank_; }
  std::string str() const;  // "(128, 197, 768)"
  bool operator==(const Shape& other) const;

 private:
  std::array<int64_t, max_rank> dims_{};
  int rank_ = 0;
};

std::ostream& operator<<(std::ostream&, const Shape&);

}  // namespace shear
