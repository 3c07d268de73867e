// Philox against its authors' vectors, and the streams made of it.
#include "shear/random.h"

#include <doctest/doctest.h>

#include <set>
#include <vector>

using namespace shear;

TEST_CASE("Philox4x32-10 gives the known answers of its authors") {
  using Block = std::array<uint32_t, 4>;
  constexpr uint32_t ones = 0xffffffff;
  CHECK(Philox::block({0, 0, 0, 0}, 0, 0) == Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(Philox::block({ones, ones, ones, ones}, ones, ones) == Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(Philox::block({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0) ==
        Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a stream's words can be had in any order") {
  const StreamKey key{42, static_cast<uint32_t>(Purpose::test), 3, 4};
  Stream stream(42, Purpose::test, 3, 4);
  std::vector<uint32_t> forward;
  for (int i = 0; i < 37; ++i) forward.push_back(stream.word());
  for (size_t i = 37; i-- > 0;) {
    CHECK(key.word(i) == forward[i]);
    CHECK(key.four(static_cast<uint32_t>(i / 4))[i % 4] == forward[i]);
  }
}

TEST_CASE("streams differ in every part of their names") {
  std::set<uint32_t> first;
  int names = 0;
  for (const uint64_t seed : {0ull, 1ull, 1ull << 32})
    for (const Purpose purpose : {Purpose::init, Purpose::shuffle, Purpose::dropout})
      for (const uint64_t a : {0, 1})
        for (const uint64_t b : {0, 1}) {
          first.insert(Stream(seed, purpose, a, b).word());
          ++names;
        }
  CHECK(first.size() == static_cast<size_t>(names));
}

TEST_CASE("unit floats reach zero, stay below one, and are spread evenly") {
  CHECK(unit_float(0) == 0);
  CHECK(unit_float(0xffffffff) < 1);
  CHECK(unit_float(0x80000000) == 0.5f);
  Stream stream(1, Purpose::test);
  constexpr int n = 100000;
  std::array<int, 10> bins{};
  for (int i = 0; i < n; ++i) ++bins[static_cast<size_t>(stream.uniform() * 10)];
  for (const int count : bins) CHECK(std::abs(count - n / 10) < 5 * 95);  // five standard deviations
}

TEST_CASE("numbers below n reach every one of them and no other") {
  Stream stream(2, Purpose::test);
  std::array<int, 7> bins{};
  for (int i = 0; i < 7000; ++i) {
    const uint32_t k = stream.below(7);
    REQUIRE(k < 7);
    ++bins[k];
  }
  for (const int count : bins) CHECK(std::abs(count - 1000) < 150);
  CHECK(stream.below(1) == 0);
}

TEST_CASE("uniform numbers between two bounds stay there, and their mean is the middle") {
  Stream stream(3, Purpose::test);
  double sum = 0;
  for (int i = 0; i < 20000; ++i) {
    const float x = stream.uniform(-3, 5);
    REQUIRE(x >= -3);
    REQUIRE(x < 5);
    sum += static_cast<double>(x);
  }
  CHECK(std::fabs(sum / 20000 - 1) < 5 * 8 / std::sqrt(12.0 * 20000));
}

TEST_CASE("normal numbers have the moments of the normal distribution") {
  Stream stream(4, Purpose::test);
  constexpr int n = 200000;
  std::array<double, 5> moments{};
  for (int i = 0; i < n; ++i) {
    const double x = static_cast<double>(stream.normal());
    REQUIRE(std::isfinite(x));
    double power = 1;
    for (double& m : moments) {
      m += power / n;
      power *= x;
    }
  }
  CHECK(std::fabs(moments[1]) < 5 / std::sqrt(n));
  CHECK(std::fabs(moments[2] - 1) < 5 * std::sqrt(2.0 / n));
  CHECK(std::fabs(moments[3]) < 5 * std::sqrt(15.0 / n));
  CHECK(std::fabs(moments[4] - 3) < 5 * std::sqrt(96.0 / n));
}
