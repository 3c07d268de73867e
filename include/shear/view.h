// A view: a matrix in somebody's memory, as kernels see it.  It owns nothing and knows no device.
//
// Row-major, with a row stride in elements; a vector is one row, and what is not there is a view without data.
#pragma once
#include <cassert>
#include <cstdint>
#include <type_traits>

#include "shear/api.h"
#include "shear/tensor.h"

namespace SHEAR_API shear {

// Whether the elements of a view are T.  Both short floats are read as their 16 bits, or as a device's type for them.
template <class T>
constexpr bool stored_as(DType d) {
  if (std::is_same_v<T, float>) return d == DType::f32;
  if (std::is_same_v<T, double>) return d == DType::f64;
  if (std::is_same_v<T, int32_t>) return d == DType::i32;
  if (std::is_same_v<T, uint8_t>) return d == DType::u8;
  return sizeof(T) == 2 && (d == DType::f16 || d == DType::bf16);
}

struct ConstView {
  const void* data = nullptr;
  int64_t rows = 0, cols = 0, stride = 0;
  DType dtype = DType::f32;

  ConstView() = default;
  ConstView(const void* p, int64_t r, int64_t c, int64_t s, DType d = DType::f32)
      : data(p), rows(r), cols(c), stride(s), dtype(d) {}
  ConstView(const Tensor& t) : ConstView(t.data<void>(), t.rows(), t.cols(), t.cols(), t.dtype()) {}
  template <class T = float>
  const T* row(int64_t r) const {
    assert(stored_as<T>(dtype));
    return static_cast<const T*>(data) + r * stride;
  }
  int64_t elements() const { return rows * cols; }
  bool contiguous() const { return stride == cols || rows <= 1; }
  ConstView band(int64_t first, int64_t n) const {  // n rows from `first`
    return {static_cast<const char*>(data) + static_cast<size_t>(first * stride) * size_of(dtype), n, cols, stride,
            dtype};
  }
  ConstView columns(int64_t first, int64_t n) const {  // n columns from `first`
    return {static_cast<const char*>(data) + static_cast<size_t>(first) * size_of(dtype), rows, n, stride, dtype};
  }
};

// To be written: not of a tensor that is const.
struct View {
  void* data = nullptr;
  int64_t rows = 0, cols = 0, stride = 0;
  DType dtype = DType::f32;

  View() = default;
  View(void* p, int64_t r, int64_t c, int64_t s, DType d = DType::f32)
      : data(p), rows(r), cols(c), stride(s), dtype(d) {}
  View(Tensor& t) : View(t.data<void>(), t.rows(), t.cols(), t.cols(), t.dtype()) {}
  View(Tensor&& t) : View(t) {}  // another handle of bytes that somebody else holds
  operator ConstView() const { return {data, rows, cols, stride, dtype}; }
  template <class T = float>
  T* row(int64_t r) const {
    assert(stored_as<T>(dtype));
    return static_cast<T*>(data) + r * stride;
  }
  int64_t elements() const { return rows * cols; }
  bool contiguous() const { return stride == cols || rows <= 1; }
  View columns(int64_t first, int64_t n) const {
    return {static_cast<char*>(data) + static_cast<size_t>(first) * size_of(dtype), rows, n, stride, dtype};
  }
  View band(int64_t first, int64_t n) const {
    return {static_cast<char*>(data) + static_cast<size_t>(first * stride) * size_of(dtype), n, cols, stride, dtype};
  }
};

}  // namespace shear
