// The learning rate: warm-up, half a cosine, and what lies beyond.
#include <doctest/doctest.h>

#include <vector>

#include "shear/optim.h"

using namespace shear;

namespace {

void check_close(const CosineSchedule& schedule, const std::vector<double>& expected) {
  for (size_t t = 0; t < expected.size(); ++t) {
    CAPTURE(t);
    CHECK(static_cast<double>(schedule.at(static_cast<int64_t>(t))) == doctest::Approx(expected[t]).epsilon(1e-6));
  }
}

}  // namespace

TEST_CASE("without warm-up the schedule is PyTorch's CosineAnnealingLR") {
  check_close({.peak = 3e-4f, .steps = 10},
              {0.0003, 0.0002926584774, 0.0002713525492, 0.0002381677878, 0.0001963525492, 0.00015, 0.0001036474508,
               6.183221216e-05, 2.864745084e-05, 7.341522556e-06});
}

TEST_CASE("with warm-up the schedule is PyTorch's LinearLR from peak / (warmup + 1), then CosineAnnealingLR") {
  check_close({.peak = 0.03f, .floor = 1e-3f, .warmup = 4, .steps = 12},
              {0.006, 0.012, 0.018, 0.024, 0.03, 0.02889625322, 0.02575304833, 0.02104890977, 0.0155, 0.009951090231,
               0.005246951673, 0.002103746779});
}

TEST_CASE("the learning rate rises to its peak once, falls from there, and stays between floor and peak") {
  const CosineSchedule schedule{.peak = 0.5f, .floor = 0.01f, .warmup = 20, .steps = 200};
  CHECK(schedule.at(0) > 0);
  for (int64_t t = 0; t < 20; ++t) CHECK(schedule.at(t) < schedule.at(t + 1));
  CHECK(schedule.at(20) == doctest::Approx(0.5f));
  for (int64_t t = 20; t < 199; ++t) CHECK(schedule.at(t) > schedule.at(t + 1));
  CHECK(schedule.at(199) > 0.01f);
}

TEST_CASE("after its last step the learning rate stays at the floor") {
  const CosineSchedule schedule{.peak = 1, .floor = 0.25f, .warmup = 3, .steps = 10};
  for (int64_t t : {int64_t{10}, int64_t{11}, int64_t{1000000000000}}) CHECK(schedule.at(t) == 0.25f);
  CHECK(CosineSchedule{.peak = 1, .steps = 10}.at(10) == 0.f);
}

TEST_CASE("a warm-up as long as the training, or longer, only rises") {
  for (int64_t warmup : {10, 25}) {
    CAPTURE(warmup);
    const CosineSchedule schedule{.peak = 1, .warmup = warmup, .steps = 10};
    for (int64_t t = 0; t < 10; ++t)
      CHECK(schedule.at(t) == doctest::Approx(static_cast<double>(t + 1) / static_cast<double>(warmup + 1)));
    CHECK(schedule.at(warmup) == 1.f);
  }
}

TEST_CASE("a floor at the peak is a constant learning rate") {
  const CosineSchedule schedule{.peak = 0.3f, .floor = 0.3f, .steps = 7};
  for (int64_t t = 0; t < 9; ++t) CHECK(schedule.at(t) == 0.3f);
}

TEST_CASE("a single step is taken at the peak") { CHECK(CosineSchedule{.peak = 0.1f, .steps = 1}.at(0) == 0.1f); }

TEST_CASE("the schedule of a very long training keeps its halfway point") {
  const CosineSchedule schedule{.peak = 2, .warmup = 1000, .steps = 2000000000};
  CHECK(schedule.at(1000000500) == doctest::Approx(1).epsilon(1e-6));
}
