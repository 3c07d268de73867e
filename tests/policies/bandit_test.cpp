// The bandit and the gradient it samples: what the theory says of them, enumerated or measured.  Draws: draws_test.cpp.
#include "policies/bandit.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "allocation_counter.h"
#include "errors.h"

namespace shear::test {
namespace {

using Doubles = std::vector<double>;

// Zero mean, unit variance; `a` tells the uses apart.
Doubles normals(size_t count, uint64_t a) {
  Stream stream(7, Purpose::test, a);
  Doubles values(count);
  for (double& v : values) v = double{stream.normal()};
  return values;
}

double sum_of(const auto& values) {
  double sum = 0;
  for (const auto v : values) sum += double{v};
  return sum;
}

// sum g^2 / p, the second moment of the scaled gradient.
double cost(const Doubles& g, const auto& p) {
  double sum = 0;
  for (size_t d = 0; d < g.size(); ++d) sum += g[d] * g[d] / double{p[d]};
  return sum;
}

std::vector<int32_t> systematic(std::span<const float> p, int64_t k, double start) {
  std::vector<int32_t> index(static_cast<size_t>(k), -1);
  draw_systematic(p, k, start, index);
  return index;
}

Doubles projected(const Doubles& log_weights, double k, double floor) {
  Doubles p(log_weights.size()), scratch;
  project(log_weights, k, floor, p, scratch);
  return p;
}

// What an estimator is worth: the mean and the mean square of g'_d = Z_d g_d / p_d over weighted outcomes.
struct Moments {
  explicit Moments(size_t arms) : mean(arms) {}
  void add(double weight, const Doubles& estimate) {
    total += weight;
    for (size_t d = 0; d < mean.size(); ++d) {
      mean[d] += weight * estimate[d];
      square += weight * estimate[d] * estimate[d];
    }
  }
  Doubles mean;
  double square = 0, total = 0;
};

void check_moments(const Moments& got, const Doubles& g, const auto& p) {
  CHECK(got.total == doctest::Approx(1).epsilon(1e-12));
  double exact = 0;
  for (size_t d = 0; d < g.size(); ++d) {
    CHECK(std::abs(got.mean[d] - g[d]) < 1e-12);
    exact += g[d] * g[d];
  }
  CHECK(got.square == doctest::Approx(cost(g, p)).epsilon(1e-12));
  const double least = double{*std::min_element(std::begin(p), std::end(p))};
  CHECK(got.square - exact <= exact * (1 / least - 1) * (1 + 1e-12));
}

// Updates of a bandit whose arms' gradients keep their norms; the ratio of its sum g^2 / p to that of uniform p.
double ratio_after(int updates, const Doubles& norms, int64_t k, double scale, const BanditOptions& options) {
  Bandit bandit(std::ssize(norms), static_cast<double>(k), options);
  Stream stream(3, Purpose::test, norms.size());
  std::vector<int32_t> drawn(static_cast<size_t>(k));
  std::vector<float> squares(drawn.size());
  for (int t = 0; t < updates; ++t) {
    draw_systematic(bandit.probabilities(), k, systematic_start(stream.word()), drawn);
    for (size_t i = 0; i < drawn.size(); ++i)
      squares[i] = static_cast<float>(std::pow(scale * norms[static_cast<size_t>(drawn[i])], 2));
    bandit.update(drawn, squares);
  }
  const Doubles uniform(norms.size(), static_cast<double>(k) / static_cast<double>(norms.size()));
  return cost(norms, std::as_const(bandit).probabilities()) / cost(norms, uniform);
}

Doubles lognormal(size_t arms) {
  Doubles norms = normals(arms, 1);
  for (double& n : norms) n = std::exp(n);
  return norms;
}

double best_ratio(const Doubles& norms, double k, double floor) {
  Doubles log_norms;
  for (const double n : norms) log_norms.push_back(std::log(n));
  return cost(norms, projected(log_norms, k, floor)) /
         cost(norms, Doubles(norms.size(), k / static_cast<double>(norms.size())));
}

}  // namespace

TEST_CASE("over all outcomes of Bernoulli draws the scaled gradient has the right mean and second moment") {
  for (const size_t arms : {1, 2, 5, 10}) {
    const Doubles g = normals(arms, arms);
    Doubles p(arms);
    Stream stream(1, Purpose::test, arms);
    for (double& v : p) v = 0.05 + 0.95 * double{stream.uniform()};
    Moments moments(arms);
    for (uint32_t outcome = 0; outcome < 1u << arms; ++outcome) {
      double weight = 1;
      Doubles estimate(arms);
      for (size_t d = 0; d < arms; ++d) {
        const bool drawn = (outcome >> d & 1) != 0;
        weight *= drawn ? p[d] : 1 - p[d];
        if (drawn) estimate[d] = g[d] / p[d];
      }
      moments.add(weight, estimate);
    }
    check_moments(moments, g, p);
  }
}

TEST_CASE("over all starts of a systematic draw the scaled gradient has the right mean and second moment") {
  // In sixty-fourths, so that f32 holds them and their sums exactly.  The draw is constant between the fractions of the
  // sums: those are its outcomes.
  const std::vector<std::vector<int>> cases{{32, 32},     {64, 16, 48},     {10, 20, 30, 4, 64}, {13, 7, 44, 64, 5, 59},
                                            {64, 64, 64}, {16, 16, 16, 16}, {63, 63, 2}};
  for (const std::vector<int>& parts : cases) {
    std::vector<float> p;
    std::vector<double> breaks{0, 1};
    int end = 0, all = 0;
    for (const int part : parts) {
      p.push_back(static_cast<float>(part) / 64);
      all += part;
      if (part < 64) breaks.push_back((end += part) % 64 / 64.);
    }
    REQUIRE(all % 64 == 0);
    std::sort(breaks.begin(), breaks.end());
    const Doubles g = normals(p.size(), p.size());
    Moments moments(p.size());
    for (size_t i = 0; i + 1 < breaks.size(); ++i) {
      Doubles estimate(p.size());
      for (const int32_t d : systematic(p, all / 64, (breaks[i] + breaks[i + 1]) / 2 * (1 - 1e-12)))
        estimate[static_cast<size_t>(d)] = g[static_cast<size_t>(d)] / double{p[static_cast<size_t>(d)]};
      moments.add(breaks[i + 1] - breaks[i], estimate);
    }
    check_moments(moments, g, p);
  }
}

TEST_CASE("the projection is the one that bisection finds, in any case") {
  Stream stream(2, Purpose::test);
  for (int n = 0; n < 300; ++n) {
    CAPTURE(n);
    const size_t arms = 1 + stream.below(40);
    const double count = static_cast<double>(arms);
    const double floor = n % 7 == 0 ? 1 : n % 5 == 0 ? 1e-3 : 0.01 + 0.5 * double{stream.uniform()};
    const double share = n % 11 == 0 ? 0 : n % 13 == 0 ? 1 : double{stream.uniform()};  // all at the floor, all one
    const double k = floor * count + share * (count - floor * count);
    const double spread = n % 4 == 0 ? 1e4 : n % 4 == 1 ? 30 : 2;
    Doubles w(arms);
    for (double& v : w)
      v = n % 3 == 0 ? -spread * stream.below(3) : -spread * double{stream.uniform()};  // ties, or none
    const Doubles p = projected(w, k, floor);
    CHECK(sum_of(p) == doctest::Approx(k).epsilon(1e-9));
    CHECK(*std::min_element(p.begin(), p.end()) >= floor);
    CHECK(*std::max_element(p.begin(), p.end()) <= 1);

    const auto clipped = [&](double log_lambda, size_t d) {
      return std::clamp(std::exp(log_lambda + w[d]), floor, 1.0);
    };
    double low = -1e5, high = 1e5;
    for (int i = 0; i < 200; ++i) {
      const double middle = std::midpoint(low, high);
      double sum = 0;
      for (size_t d = 0; d < arms; ++d) sum += clipped(middle, d);
      (sum < k ? low : high) = middle;
    }
    for (size_t d = 0; d < arms; ++d) CHECK(std::abs(p[d] - clipped(high, d)) < 1e-9);
  }
}

TEST_CASE(
    "the projection meets its conditions: one factor for all that is clipped nowhere, beyond it what is clipped") {
  const Doubles w = normals(200, 5);
  const Doubles p = projected(w, 40, 0.05);
  Doubles inside;
  for (size_t d = 0; d < p.size(); ++d)
    if (p[d] > 0.05 && p[d] < 1) inside.push_back(std::log(p[d]) - w[d]);
  REQUIRE(inside.size() > 50);
  for (const double log_lambda : inside) CHECK(std::abs(log_lambda - inside[0]) < 1e-12);
  int at_floor = 0;
  for (size_t d = 0; d < p.size(); ++d) {
    if (p[d] == 0.05) CHECK(inside[0] + w[d] <= std::log(0.05) + 1e-12);
    if (p[d] == 1) CHECK(inside[0] + w[d] >= -1e-12);
    at_floor += p[d] == 0.05;
  }
  CHECK(at_floor > 10);
  CHECK(projected({0, -1e4, -2e4}, 1.5, 0.25) == Doubles{1, 0.25, 0.25});
  CHECK(projected({3, 3, 3, 3}, 4, 0.25) == Doubles{1, 1, 1, 1});
}

TEST_CASE("a bandit of known norms beats uniform probabilities, the same at every scale of the gradient") {
  struct Case {
    size_t arms;
    int64_t k;
  };
  for (const auto& [arms, k] : {Case{96, 19}, Case{96, 48}, Case{768, 154}, Case{768, 384}}) {
    CAPTURE(arms);
    CAPTURE(k);
    const Doubles norms = lognormal(arms);
    const double best = best_ratio(norms, static_cast<double>(k), 0.05);
    const double ratio = ratio_after(25, norms, k, 1, {});
    CHECK(ratio < 0.4 + 0.6 * best);  // after 25 updates
    CHECK(ratio_after(150, norms, k, 1, {}) < best + 0.02);
    for (const double scale : {1e-3, 1e-2, 0.1, 10., 1e2}) {
      CAPTURE(scale);
      CHECK(std::abs(ratio_after(25, norms, k, scale, {}) - ratio) < 1e-4);
    }
  }
}

TEST_CASE("the raw loss depends on the gradient's scale: nothing at a small one, ruin at a large one") {
  const Doubles norms = lognormal(96);
  const BanditOptions raw{.rate = 1e-3, .floor = 0.05, .normalise = false};
  const double small = ratio_after(150, norms, 48, 1e-3, raw), large = ratio_after(150, norms, 48, 1, raw);
  CHECK(std::abs(small - 1) < 0.01);
  CHECK(large > 1.2);
  CHECK(ratio_after(150, norms, 48, 1, {}) < 0.8);
}

TEST_CASE("noise in the norms does not drive the bandit away from the best") {
  const Doubles norms = lognormal(384);
  Bandit bandit(384, 77);
  Stream stream(9, Purpose::test);
  std::vector<int32_t> drawn(77);
  std::vector<float> squares(77);
  Doubles ratios;
  const Doubles uniform(384, 77. / 384);
  for (int t = 0; t < 1000; ++t) {
    draw_systematic(bandit.probabilities(), 77, systematic_start(stream.word()), drawn);
    for (size_t i = 0; i < 77; ++i)
      squares[i] = static_cast<float>(
          std::pow(norms[static_cast<size_t>(drawn[i])] * std::exp(0.7 * double{stream.normal()}), 2));
    bandit.update(drawn, squares);
    if (t >= 50) ratios.push_back(cost(norms, bandit.probabilities()) / cost(norms, uniform));
    CHECK(std::abs(sum_of(bandit.probabilities()) - 77) < 1e-4);
  }
  CHECK(*std::max_element(ratios.begin(), ratios.end()) < best_ratio(norms, 77, 0.05) + 0.1);
}

TEST_CASE("norms that say nothing leave the probabilities as they are") {
  Bandit bandit(4, 2);
  const std::vector<float> before(bandit.probabilities().begin(), bandit.probabilities().end());
  const auto unmoved = [&] { return std::ranges::equal(bandit.probabilities(), before); };
  const std::vector<int32_t> two{0, 2};
  bandit.update(two, std::vector<float>{0, 0});
  CHECK(unmoved());
  bandit.update(two, std::vector<float>{1, INFINITY});
  CHECK(unmoved());
  bandit.update(two, std::vector<float>{1, NAN});
  CHECK(unmoved());
  bandit.update(std::vector<int32_t>{}, std::vector<float>{});
  CHECK(unmoved());
  bandit.update(two, std::vector<float>{1, 0});  // a column that gets no gradient at all
  CHECK(bandit.probabilities()[0] > 0.5f);
  CHECK(bandit.probabilities()[2] < 0.5f);
}

TEST_CASE("a bandit that keeps all arms keeps all arms") {
  Bandit bandit(5, 5);
  const std::vector<int32_t> all{0, 1, 2, 3, 4};
  CHECK(systematic(bandit.probabilities(), 5, 0.7) == all);
  bandit.update(all, std::vector<float>{1, 2, 3, 0, 5});
  for (const float p : bandit.probabilities()) CHECK(p == 1);
}

TEST_CASE("a floor that leaves no room for the arms is refused, with the numbers") {
  const auto refusal = [](int64_t arms, double k, const BanditOptions& options) {
    return sentence(Fault::usage, [&] { Bandit(arms, k, options); });
  };
  CHECK(refusal(100, 20, {.floor = 0.3}) ==
        "bandit: floor 0.3 leaves no room for 20 of 100 arms, expected at most 0.2");
  CHECK(refusal(100, 120, {}) == "bandit: 120 of 100 arms, expected more than 0 and at most all");
  CHECK(refusal(0, 1, {}) == "bandit: 0 arms, expected at least one");
  CHECK(refusal(100, 20, {.floor = 0}) == "bandit: floor 0, expected more than 0 and at most 1");
  CHECK(refusal(100, 20, {.rate = 2}) == "bandit: rate 2, expected more than 0 and at most 1");
  CHECK_NOTHROW(Bandit(100, 20, {.floor = 0.2}));
}

TEST_CASE("updates and draws allocate nothing") {
  Bandit bandit(96, 48);
  Stream stream(8, Purpose::test);
  std::vector<int32_t> drawn(48), some(96);
  std::vector<float> squares(48, 1);
  squares[5] = 9;
  const AllocationCounter counter;
  for (int t = 0; t < 20; ++t) {
    draw_systematic(bandit.probabilities(), 48, systematic_start(stream.word()), drawn);
    draw_bernoulli(bandit.probabilities(), stream, some);
    bandit.update(drawn, squares);
  }
  CHECK(counter.count() == 0);
}

// f(x) = ||x||^2 / 2 in 64 columns, each drawn with p = 1/4: the gradient's noise is 1/p - 1 = 3 times its square.  A
// column of its own noise, from another batch each step, keeps the gradient from vanishing at the minimum.
TEST_CASE("with sampled columns a constant step ends in noise in proportion to it, a falling step in none") {
  const size_t arms = 64;
  const std::vector<float> p(arms, 0.25f);
  const auto excess_after = [&](int steps, const auto& rate) {
    Stream stream(10, Purpose::test);
    Doubles x(arms, 1);
    double late = 0;
    for (int t = 0; t < steps; ++t) {
      for (const int32_t d : systematic(p, 16, systematic_start(stream.word()))) {
        double& v = x[static_cast<size_t>(d)];
        v -= rate(t) * (v + double{stream.normal()}) / 0.25;
      }
      if (t >= steps / 2)
        for (const double v : x) late += v * v;
    }
    return late / (steps - steps / 2) / arms;
  };
  const auto constant = [&](double alpha) { return excess_after(20000, [=](int) { return alpha; }); };
  // Stationary: E x^2 = alpha / (2 p - alpha) * 1 for each column, from E (x - alpha Z (x + e) / p)^2 = E x^2.
  for (const double alpha : {0.04, 0.02, 0.01})
    CHECK(constant(alpha) == doctest::Approx(alpha / (0.5 - alpha)).epsilon(0.15));
  const auto falling = [&](int steps) { return excess_after(steps, [](int t) { return 0.2 / std::sqrt(t + 1.); }); };
  const double slope = std::log(falling(32000) / falling(2000)) / std::log(16.);
  CHECK(slope == doctest::Approx(-0.5).epsilon(0.15));
}

TEST_CASE("the error of sampling shrinks when draws are averaged, that of the largest columns alone does not") {
  const Doubles g = lognormal(96);
  Bandit bandit(96, 24);
  Stream stream(11, Purpose::test);
  const auto error_of_mean = [&](int draws) {
    Doubles mean(96);
    for (int n = 0; n < draws; ++n)
      for (const int32_t d : systematic(bandit.probabilities(), 24, systematic_start(stream.word())))
        mean[static_cast<size_t>(d)] += g[static_cast<size_t>(d)] / 0.25 / draws;
    double error = 0;
    for (size_t d = 0; d < 96; ++d) error += std::pow(mean[d] - g[d], 2);
    return std::sqrt(error);
  };
  double one = 0, hundred = 0;
  for (int n = 0; n < 20; ++n) one += error_of_mean(1), hundred += error_of_mean(100);
  CHECK(hundred / one == doctest::Approx(0.1).epsilon(0.3));
  Doubles sorted = g;  // the largest 24 are the same in every draw, so is what they miss
  std::sort(sorted.begin(), sorted.end());
  double missed = 0;
  for (size_t i = 0; i < 72; ++i) missed += sorted[i] * sorted[i];
  CHECK(std::sqrt(missed) > 2 * hundred / 20);
}

}  // namespace shear::test
