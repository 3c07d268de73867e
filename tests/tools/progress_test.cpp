// How much time a training has left: steps, and the evaluations that lie before it.
#include "tools/shear/progress.h"

#include <doctest/doctest.h>

using namespace shear;
using namespace shear::tool;

TEST_CASE("what is left counts the evaluations that are to come, with the time of the last one") {
  const Outlook o{.step = 0, .steps = 100, .eval_every = 30, .batch = 10, .validation_images = 300};
  // After 30, 60, 90 and the last one.
  CHECK(seconds_left(o, 0, 2, 5) == doctest::Approx(100 * 2 + 4 * 5));
  CHECK(seconds_left(o, 29, 2, 5) == doctest::Approx(71 * 2 + 4 * 5));
  CHECK(seconds_left(o, 30, 2, 5) == doctest::Approx(70 * 2 + 3 * 5));
  CHECK(seconds_left(o, 95, 2, 5) == doctest::Approx(5 * 2 + 1 * 5));
}

TEST_CASE("before an evaluation was seen its images take a third of a step's time each") {
  const Outlook o{.step = 0, .steps = 60, .eval_every = 30, .batch = 10, .validation_images = 300};
  CHECK(seconds_left(o, 0, 3, -1) == doctest::Approx(60 * 3 + 2 * 300 * 0.1));
  CHECK(seconds_left(o, 0, 3, 0) == doctest::Approx(60 * 3));
}

TEST_CASE("without a validation part only steps are left") {
  const Outlook o{.step = 0, .steps = 60, .eval_every = 30, .batch = 10, .validation_images = 0};
  CHECK(seconds_left(o, 10, 3, -1) == doctest::Approx(150));
}
