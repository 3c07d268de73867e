// Draws of arms: how many, in what order, how often.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "errors.h"
#include "policies/bandit.h"

namespace shear::test {
namespace {

std::vector<int32_t> systematic(std::span<const float> p, int64_t k, double start) {
  std::vector<int32_t> index(static_cast<size_t>(k), -1);
  draw_systematic(p, k, start, index);
  return index;
}

}  // namespace

TEST_CASE("systematic draws hold exactly k arms in ascending order, each as often as its probability says") {
  std::vector<float> p;  // the sum of 1 to 50 is 1275
  for (int d = 1; d <= 50; ++d) p.push_back(static_cast<float>((d * 37 - 1) % 50 + 1) * 14 / 1275);
  p.insert(p.begin() + 7, 1.f);  // always drawn
  constexpr int draws = 40000;
  Stream stream(4, Purpose::test);
  std::vector<int> counts(p.size());
  for (int n = 0; n < draws; ++n) {
    const std::vector<int32_t> index = systematic(p, 15, systematic_start(stream.word()));
    REQUIRE(std::adjacent_find(index.begin(), index.end(), std::greater_equal<>()) == index.end());
    REQUIRE(index[0] >= 0);
    REQUIRE(index[14] < 51);
    for (const int32_t d : index) ++counts[static_cast<size_t>(d)];
  }
  for (size_t d = 0; d < p.size(); ++d)
    CHECK(std::abs(counts[d] - draws * double{p[d]}) <=
          4 * std::sqrt(draws * double{p[d]} * (1 - double{p[d]})) + 1e-2);
  CHECK(counts[7] == draws);
  for (const double start : {0., 0x1p-33, 1 - 0x1p-53}) CHECK(systematic(p, 15, start).back() >= 0);
}

TEST_CASE("systematic draws hold exactly k arms whatever rounding does to the sum") {
  for (const int64_t arms : {3, 7, 96, 144, 768, 3072})
    for (int64_t k = 1; k <= arms; k += std::max<int64_t>(1, arms / 7))
      for (const float off : {0.999999f, 1.f, 1.000001f}) {
        const std::vector<float> p(static_cast<size_t>(arms),
                                   std::min(1.f, off * static_cast<float>(k) / static_cast<float>(arms)));
        for (const double start : {0., 0.3, 1 - 0x1p-53}) {
          const std::vector<int32_t> index = systematic(p, k, start);
          CHECK(index[0] >= 0);
          CHECK(index.back() < arms);
          CHECK(std::adjacent_find(index.begin(), index.end(), std::greater_equal<>()) == index.end());
        }
      }
}

TEST_CASE("the groups of one word share the arms out: each is drawn by exactly one of them") {
  Stream stream(5, Purpose::test);
  for (const int64_t groups : {2, 3, 5, 7, 10})
    for (const uint32_t word : {0u, 0xffffffffu, 0x55555555u, 0x80000000u, stream.word(), stream.word()}) {
      const int64_t k = 12, arms = k * groups;
      const std::vector<float> p(static_cast<size_t>(arms), 1 / static_cast<float>(groups));
      std::vector<int32_t> all;
      for (int64_t g = 0; g < groups; ++g)
        for (const int32_t d : systematic(p, k, systematic_start(word, g, groups))) all.push_back(d);
      std::sort(all.begin(), all.end());
      std::vector<int32_t> each(static_cast<size_t>(arms));
      std::iota(each.begin(), each.end(), 0);
      CHECK(all == each);
    }
}

TEST_CASE("Bernoulli draws keep to their probabilities and to the room they have") {
  const std::vector<float> p{0.05f, 0.5f, 1.f, 0.9f, 0.2f};
  Stream stream(6, Purpose::test);
  std::vector<int32_t> index(5);
  std::vector<int> counts(5);
  constexpr int draws = 40000;
  int pairs = 0;
  for (int n = 0; n < draws; ++n) {
    const int64_t count = draw_bernoulli(p, stream, index);
    REQUIRE(count <= 5);
    for (int64_t i = 0; i < count; ++i) ++counts[static_cast<size_t>(index[static_cast<size_t>(i)])];
    pairs +=
        std::count(index.begin(), index.begin() + count, 1) + std::count(index.begin(), index.begin() + count, 3) == 2;
  }
  for (size_t d = 0; d < p.size(); ++d) {
    const double mean = draws * double{p[d]};
    CHECK(std::abs(counts[d] - mean) <= 4 * std::sqrt(mean * (1 - double{p[d]})) + 1e-2);
  }
  CHECK(std::abs(pairs - draws * 0.45) < 4 * std::sqrt(draws * 0.45 * 0.55));  // each arm by itself

  index.resize(3);
  for (int n = 0; n < 1000; ++n) CHECK(draw_bernoulli(p, stream, index) <= 3);
  index.resize(2);
  CHECK(sentence(Fault::internal, [&] { draw_bernoulli(p, stream, index); }) ==
        "draw_bernoulli: room for 2 arms, the probabilities sum to 2.65");
}

}  // namespace shear::test
