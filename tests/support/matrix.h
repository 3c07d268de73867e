// A matrix in the host's memory for tests of backends, with nan between its rows, and its distance from a reference in
// f64.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "shear/random.h"
#include "shear/view.h"

namespace shear::test {

inline constexpr float unset = std::numeric_limits<float>::quiet_NaN();

// What reads or writes between its rows is seen.
class Matrix {
 public:
  Matrix(int64_t rows, int64_t cols, int64_t gap, uint32_t n, float scale = 1)
      : rows_(rows), cols_(cols), stride_(cols + gap), data_(static_cast<size_t>(rows * stride_), unset) {
    Stream stream(3, Purpose::test, n);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c) (*this)(r, c) = scale * stream.normal();
  }
  float& operator()(int64_t r, int64_t c) { return data_[static_cast<size_t>(r * stride_ + c)]; }
  double at(int64_t r, int64_t c) const { return static_cast<double>(data_[static_cast<size_t>(r * stride_ + c)]); }
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  int64_t stride() const { return stride_; }
  std::vector<float>& data() { return data_; }
  const std::vector<float>& data() const { return data_; }
  void fill(float value) {
    for (int64_t r = 0; r < rows_; ++r)
      for (int64_t c = 0; c < cols_; ++c) (*this)(r, c) = value;
  }
  bool same_bits(const Matrix& other) const {
    return data_.size() == other.data_.size() &&
           (data_.empty() || std::memcmp(data_.data(), other.data_.data(), data_.size() * sizeof(float)) == 0);
  }
  bool gaps_are_whole() const {
    for (int64_t r = 0; r < rows_; ++r)
      for (int64_t c = cols_; c < stride_; ++c)
        if (!std::isnan(at(r, c))) return false;
    return true;
  }

 private:
  int64_t rows_, cols_, stride_;
  std::vector<float> data_;
};

// Two floats as the double that lies in them.
inline View as_f64(const View& two) { return {two.data, 1, 1, 1, DType::f64}; }
inline double as_f64(const Matrix& two) {
  double value;
  std::memcpy(&value, two.data().data(), sizeof value);
  return value;
}

// The largest difference from f(r, c), over the largest |f| or one; infinity where something stands between the rows.
template <class F>
double error_of(const Matrix& got, F f) {
  double error = 0, scale = 1;
  for (int64_t r = 0; r < got.rows(); ++r)
    for (int64_t c = 0; c < got.cols(); ++c) {
      const double expected = f(r, c), e = std::fabs(got.at(r, c) - expected);
      scale = std::max(scale, std::fabs(expected));
      error = e <= error ? error : e;  // nan wins, and stays
    }
  return got.gaps_are_whole() ? error / scale : std::numeric_limits<double>::infinity();
}

}  // namespace shear::test
