// The bandit that learns which arms (columns of an input, parameter tensors) are worth keeping, and draws of arms.
//
// An arm d is kept with probability p_d and its gradient scaled by 1 / p_d, which leaves the mean right and costs a
// second moment of sum_d g_d^2 / p_d.  The bandit moves p to lower that sum, from the norms of the arms it saw.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "shear/random.h"

namespace shear {

// The p nearest to the weights w in Kullback-Leibler divergence with sum p = k and floor <= p_d <= 1.  Exact up to
// rounding, O(D log D), from the logarithms of w: finite, as small as they like.  0 < floor, floor * D <= k <= D.
// `scratch` is grown to 2 D.
void project(std::span<const double> log_weights, double k, double floor, std::span<double> p,
             std::vector<double>& scratch);

struct BanditOptions {
  double rate = 0.2;      // normalise: how far an update goes, above 0 to 1; raw: of the exponent, such as 1e-3
  double floor = 0.05;    // no p falls below it: bounds the scale 1 / p
  bool normalise = true;  // whether updates are the same at every scale of the gradient
};

class Bandit {
 public:
  // p = k / D each.  Throws Fault::usage where no probabilities from the floor to 1 have the sum k.
  Bandit(int64_t arms, double k, const BanditOptions& = {});

  // The state: p, and for the raw loss the largest norm so far.  A checkpoint may write into both.
  std::span<float> probabilities() { return p_; }
  std::span<const float> probabilities() const { return p_; }
  std::span<float> largest() { return {&largest_, 1}; }

  // One update from the squared norms of the gradients of the arms in `drawn`, before their scaling by 1 / p.  Does
  // nothing where one of the norms is not finite.  Allocates nothing.
  void update(std::span<const int32_t> drawn, std::span<const float> square_norms);

 private:
  void step_by_ranking(std::span<const int32_t> drawn, std::span<const float> square_norms);
  void step_by_loss(std::span<const int32_t> drawn, std::span<const float> square_norms);

  BanditOptions options_;
  double k_;
  std::vector<float> p_;
  float largest_ = 0;
  std::vector<double> log_weights_, next_, of_drawn_, scratch_;
};

// The start of a systematic draw from one random word.  The starts of the groups of one word are 1 / groups apart: with
// p = 1 / groups for every arm the groups' draws are complementary, each arm is in exactly one of them.
double systematic_start(uint32_t word, int64_t group = 0, int64_t groups = 1);

// Both draws: arm d with probability p_d, indices ascending, nothing allocated.
//
// Exactly k arms, where the sum of p is k but for rounding (Madow, "On the theory of systematic sampling", 1949).
void draw_systematic(std::span<const float> p, int64_t k, double start, std::span<int32_t> index);
// Each arm by itself; returns how many, perhaps none.  Draws of more than index has room for are thrown away, which
// favours the small: give room for a few standard deviations above the sum of p.
int64_t draw_bernoulli(std::span<const float> p, Stream&, std::span<int32_t> index);

}  // namespace shear
