// Position embeddings for another grid: each method against the library that it is from.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>

#include "errors.h"
#include "shear/weights.h"
#include "tests_dir.h"

using namespace shear;

TEST_CASE("positions are resized as scipy's zoom, timm's two ways and Hugging Face do it") {
  const SafeTensors golden(tests_dir() / "golden" / "weights" / "expected.safetensors");
  int cases = 0;
  for (const PositionResize method :
       {PositionResize::zoom, PositionResize::bilinear, PositionResize::bicubic, PositionResize::bicubic_antialias})
    for (const auto& [from, to] : {std::pair{4, 7}, {7, 4}, {3, 5}, {14, 6}, {5, 1}, {1, 3}}) {
      CAPTURE(name(method));
      CAPTURE(from);
      CAPTURE(to);
      const TensorView* input = golden.find(text("positions.", from));
      const TensorView* output = golden.find(text("positions.", name(method), '.', from, '.', to));
      REQUIRE(input);
      REQUIRE(output);
      const std::vector<float> grid = read_floats(golden, *input), expected = read_floats(golden, *output);
      const std::vector<float> found = resize_positions(std::span(grid).subspan(2), from, to, 2, method);
      REQUIRE(found.size() + 2 == expected.size());
      for (size_t i = 0; i < found.size(); ++i) CHECK(std::fabs(found[i] - expected[i + 2]) < 2e-6f);
      ++cases;
    }
  CHECK(cases == 24);
}

TEST_CASE("a method is called by its name, and another name is refused") {
  for (const PositionResize method :
       {PositionResize::zoom, PositionResize::bilinear, PositionResize::bicubic, PositionResize::bicubic_antialias})
    CHECK(parse_position_resize(name(method)) == method);
  CHECK(test::sentence(Fault::usage, [] { parse_position_resize("lanczos"); }) ==
        "--positions lanczos: expected zoom, bilinear, bicubic or bicubic-antialias");
}
