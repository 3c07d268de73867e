// The median of what steps took.
#pragma once
#include <algorithm>
#include <vector>

namespace shear {

// Of an even number the upper of the middle two; 0 of none.
template <class T>
T median(std::vector<T> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace shear
