// Gradients of whole steps, read and compared.
#pragma once
#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shear/train.h"

namespace shear {

// The gradient of a step, one vector per parameter that is trained, in the model's order.
using Gradients = std::vector<std::pair<std::string, std::vector<float>>>;

inline Gradients room_for_gradients(const Parameters& parameters) {
  Gradients room;
  for (const Param& p : parameters)
    if (p.trainable) room.emplace_back(p.name, std::vector<float>(static_cast<size_t>(p.value.elements())));
  return room;
}

// A policy that holds its choice for some steps makes a new one for each of steps that are so far apart.
inline constexpr int64_t steps_apart = 1000;

// Steps under a policy, whose gradients are read and change nothing.
class GradientReader {
 public:
  // `into`: room_for_gradients of the model, which readers may share.
  GradientReader(Device& device, Model& model, MemoryPolicy& policy, StepOptions options, Gradients& into)
      : into_(into),
        sink_([this](const Param& p, std::span<const float> gradient) { add(p, gradient); }),
        step_(device, model.parameters(), std::ref(model), policy, sink_, unclipped(options)) {
    for (const Param& p : model.parameters())
      if (p.trainable) place_.emplace(&p, place_.size());
  }

  // Returns the seconds that the step took, with those in which its gradients came to the host, without those in which
  // they were added up there.
  double operator()(int64_t step, const Batch& batch) {
    for (auto& [name, values] : into_) std::ranges::fill(values, 0.f);
    reading_ = {};
    const auto start = Clock::now();
    step_(step, 0, batch);
    return std::chrono::duration<double>(Clock::now() - start - reading_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;

  static StepOptions unclipped(StepOptions options) {
    options.clip = 0;
    options.update_in_backward = false;
    return options;
  }
  void add(const Param& p, std::span<const float> gradient) {  // of one pass
    const auto start = Clock::now();
    std::vector<float>& sum = into_[place_.at(&p)].second;
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += gradient[i];
    reading_ += Clock::now() - start;
  }

  Gradients& into_;
  ReadGradients sink_;
  TrainStep step_;
  std::map<const Param*, size_t> place_;
  Clock::duration reading_{};
};

struct Products {
  double ab = 0, aa = 0, bb = 0, apart = 0;  // apart: |a - b|^2
  void operator+=(const Products& other) { ab += other.ab, aa += other.aa, bb += other.bb, apart += other.apart; }
  // Of two zero vectors the direction is the same; of a zero and another one there is none.
  double cosine() const { return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : aa == bb ? 1 : 0; }
  double error() const { return std::sqrt(apart / aa); }  // of b, relative to a
};

inline Products products(std::span<const float> a, std::span<const float> b) {
  Products p;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = a[i], y = b[i];
    p += {x * y, x * x, y * y, (x - y) * (x - y)};
  }
  return p;
}

}  // namespace shear
