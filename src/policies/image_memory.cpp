#include "policies/image_memory.h"

#include <algorithm>
#include <cmath>

#include "shear/error.h"

namespace shear {

void ImageMemory::learn(std::span<const float> distances) {
  if (batch_.empty()) return;
  require(distances.size() == batch_.size(), "image memory: ", distances.size(), " distances of ", batch_.size(),
          " images");
  for (size_t i = 0; i < batch_.size(); ++i)
    if (std::isfinite(distances[i])) distance_.at(static_cast<size_t>(batch_[i])) = distances[i];
}

std::span<const int64_t> ImageMemory::shares(int64_t images, int64_t all, int64_t each) {
  const auto n = static_cast<size_t>(images);
  weight_.assign(n, 0);
  shares_.assign(n, each);
  if (batch_.size() != n || each >= all || each < 1) return shares_;
  double sum = 0;
  int64_t known = 0;
  for (size_t i = 0; i < n; ++i) {
    const float distance = distance_.at(static_cast<size_t>(batch_[i]));
    weight_[i] = static_cast<double>(distance);
    if (distance >= 0 && std::isfinite(distance)) sum += weight_[i], ++known;
  }
  const double mean = known > 0 ? sum / static_cast<double>(known) : 0;
  if (mean <= 0) return shares_;
  for (double& w : weight_)
    if (!(w >= 0 && std::isfinite(w))) w = mean;
  // The share of a weight, where what is too much for some goes to the others.
  const auto share = [&](double price, size_t i) {
    return std::clamp(weight_[i] * price, 1., static_cast<double>(all));
  };
  const double total = static_cast<double>(images * each);
  double low = 0, high = 1;
  const auto taken = [&](double price) {
    double rows = 0;
    for (size_t i = 0; i < n; ++i) rows += share(price, i);
    return rows;
  };
  // Images without any distance left never take more than one row: the others may all be full before the total is.
  while (taken(high) < total && high < 1e12) high *= 2;
  for (int halvings = 0; halvings < 100; ++halvings) {
    const double middle = (low + high) / 2;
    (taken(middle) < total ? low : high) = middle;
  }
  int64_t rest = images * each;
  left_.assign(n, 0);
  for (size_t i = 0; i < n; ++i) {
    const double exact = share(high, i);
    shares_[i] = static_cast<int64_t>(exact);
    left_[i] = exact - static_cast<double>(shares_[i]);
    rest -= shares_[i];
  }
  for (; rest != 0; rest += rest > 0 ? -1 : 1) {  // the largest remainders first; of equal ones the first image
    size_t best = n;
    for (size_t i = 0; i < n; ++i) {
      if (rest > 0 ? shares_[i] >= all : shares_[i] <= 1) continue;
      if (best == n || (rest > 0 ? left_[i] > left_[best] : left_[i] < left_[best])) best = i;
    }
    shares_[best] += rest > 0 ? 1 : -1;
    left_[best] += rest > 0 ? -1 : 1;
  }
  return shares_;
}

}  // namespace shear
