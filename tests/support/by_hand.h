// What the packing does to values, by hand and in f64: the reference that lossy gradients are held against.
#pragma once
#include <algorithm>
#include <cmath>
#include <numeric>

#include "gradcheck.h"

namespace shear::test {

// The nearest f16.
inline double half(double v) {
  int exponent = 0;
  std::frexp(v, &exponent);
  const double step = std::ldexp(1., std::max(exponent - 11, -24));
  return std::nearbyint(v / step) * step;
}

// Normal numbers that f16 holds exactly.
inline Operand short_normal(const Shape& shape, uint32_t n) {
  Operand x = normal(shape, n);
  for (double& v : x.values) v = std::clamp(std::nearbyint(v * 128) / 128, -7., 7.);
  return x;
}

// Of (samples, rows, parts, cols) the ceil(share * rows * cols) largest magnitudes of each part of each sample, ties to
// the lowest index; the others become zero.
inline Values pruned(Values x, double share, int64_t samples, int64_t rows, int64_t cols, int64_t parts = 1) {
  const auto kept = static_cast<size_t>(std::ceil(share * static_cast<double>(rows * cols) - 1e-9));
  for (int64_t s = 0; s < samples; ++s)
    for (int64_t p = 0; p < parts; ++p) {
      std::vector<size_t> at;
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < cols; ++c) at.push_back(static_cast<size_t>(((s * rows + r) * parts + p) * cols + c));
      std::stable_sort(at.begin(), at.end(), [&](size_t a, size_t b) { return std::fabs(x[a]) > std::fabs(x[b]); });
      for (size_t i = kept; i < at.size(); ++i) x[at[i]] = 0;
    }
  return x;
}

// |found - expected| / |expected|; nan where anything is.
inline double relative_error(const std::vector<float>& found, const Values& expected) {
  double difference = found.size() == expected.size() ? 0 : INFINITY, size = 0;
  for (size_t i = 0; i < std::min(found.size(), expected.size()); ++i) {
    difference += std::pow(static_cast<double>(found[i]) - expected[i], 2);
    size += expected[i] * expected[i];
  }
  return std::sqrt(difference / size);
}

}  // namespace shear::test
