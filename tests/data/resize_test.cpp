// Resizing against Pillow's results.
#include <doctest/doctest.h>

#include "data/resample.h"
#include "image_files.h"
#include "resize_golden.h"

namespace shear::test {

TEST_CASE("a resized image has Pillow's bytes, up and down, whole and from a box") {
  for (const golden::Resize& g : golden::resizes) {
    CAPTURE(text(g.width, "x", g.height, "x", g.channels, " to ", g.to_width, "x", g.to_height, " filter ",
                 static_cast<int>(g.interpolation)));
    const Image made = resize(pattern(g.width, g.height, g.channels), g.to_width, g.to_height, g.interpolation, g.box);
    CHECK(made.width == g.to_width);
    CHECK(made.height == g.to_height);
    CHECK(made.channels == g.channels);
    CHECK(fnv1a(made.pixels) == g.hash);
  }
}

TEST_CASE("a small resized image has Pillow's bytes, one by one") {
  const Image from = pattern(9, 7, 1);
  CHECK(resize(from, 4, 3, Interpolation::bilinear).pixels ==
        std::vector<uint8_t>(std::begin(golden::bilinear_4x3), std::end(golden::bilinear_4x3)));
  CHECK(resize(from, 4, 3, Interpolation::bicubic).pixels ==
        std::vector<uint8_t>(std::begin(golden::bicubic_4x3), std::end(golden::bicubic_4x3)));
  CHECK(resize(from, 4, 3, Interpolation::lanczos).pixels ==
        std::vector<uint8_t>(std::begin(golden::lanczos_4x3), std::end(golden::lanczos_4x3)));
  CHECK(resize(from, 4, 3, Interpolation::box).pixels ==
        std::vector<uint8_t>(std::begin(golden::box_4x3), std::end(golden::box_4x3)));
  CHECK(resize(from, 4, 3, Interpolation::hamming).pixels ==
        std::vector<uint8_t>(std::begin(golden::hamming_4x3), std::end(golden::hamming_4x3)));
}

TEST_CASE("an image resized to its own size stays as it is") {
  const Image from = pattern(37, 21, 3);
  CHECK(resize(from, 37, 21, Interpolation::bicubic).pixels == from.pixels);
}

TEST_CASE("a flat image stays flat at any size") {
  const Image from = flat(19, 23, {0, 128, 255});
  for (const int side : {1, 7, 50})
    for (const std::string& name : interpolations())
      CHECK(resize(from, side, side, *parse_interpolation(name)).pixels == flat(side, side, {0, 128, 255}).pixels);
}

TEST_CASE("a filter has the name that timm and Pillow give it") {
  for (const auto i : {Interpolation::bilinear, Interpolation::bicubic, Interpolation::lanczos, Interpolation::box,
                       Interpolation::hamming})
    CHECK(parse_interpolation(name(i)) == i);
  CHECK(name(Interpolation::lanczos) == "lanczos");
  CHECK_FALSE(parse_interpolation("nearest"));
}

TEST_CASE("a window of a result has the bytes of the whole result") {
  const Image from = pattern(50, 41, 3);
  const Image whole = resize(from, 73, 60, Interpolation::bicubic);
  Image window = pattern(9, 9, 1);  // what it held before does not matter
  resample(view(from), 73, 60, Interpolation::bicubic, {0, 0, 50, 41}, {11, 7, 30, 45}, window);
  REQUIRE(window.pixels.size() == 30 * 45 * 3);
  for (int y = 0; y < 45; ++y) {
    const auto row = whole.pixels.begin() + ((y + 7) * 73 + 11) * 3;
    CHECK(std::equal(row, row + 90, window.pixels.begin() + y * 90));
  }
}

TEST_CASE("what lies beside a cut does not leak into it") {
  const Image from = pattern(40, 40, 3);
  const View part = cut(view(from), 5, 6, 20, 25);
  Image copied{20, 25, 3, {}};
  for (int y = 0; y < 25; ++y)
    copied.pixels.insert(copied.pixels.end(), part.pixels + static_cast<size_t>(y) * part.stride,
                         part.pixels + static_cast<size_t>(y) * part.stride + 60);
  Image made;
  resample(part, 32, 32, Interpolation::bicubic, {0, 0, 20, 25}, {0, 0, 32, 32}, made);
  CHECK(made.pixels == resize(copied, 32, 32, Interpolation::bicubic).pixels);
}

TEST_CASE("a box outside the image is a misuse") {
  const Image from = pattern(10, 10, 1);
  for (const Box& box : {Box{-1, 0, 5, 5}, Box{0, 0, 11, 5}, Box{5, 0, 5, 5}, Box{0, 7, 5, 2}})
    CHECK(contains(sentence(Fault::internal, [&] { resize(from, 4, 4, Interpolation::bilinear, box); }), "the box"));
  CHECK(contains(sentence(Fault::internal, [&] { resize(from, 0, 4, Interpolation::bilinear); }), "0 x 4"));
}

}  // namespace shear::test
