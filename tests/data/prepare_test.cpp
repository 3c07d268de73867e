// From images to a model's input, for evaluation and for training.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "crop_golden.h"
#include "data/resample.h"
#include "errors.h"
#include "image_files.h"
#include "resize_golden.h"

namespace shear::test {
namespace {

using Floats = std::vector<float>;

Floats evaluated(const Image& image, const Preprocess& p) {
  Floats chw(static_cast<size_t>(p.channels * p.image * p.image));
  prepare_eval(image, p, chw.data());
  return chw;
}

Floats trained(const Image& image, const Preprocess& p, const Augment& augment, uint64_t sample) {
  Floats chw(static_cast<size_t>(p.channels * p.image * p.image));
  Stream stream(1, Purpose::test, 0, sample);
  prepare_train(image, p, augment, stream, chw.data());
  return chw;
}

// With mean 0 and std 1 / 255 the floats are the pixels.
Preprocess plain(int image, int channels) {
  Preprocess p;
  p.image = image;
  p.channels = channels;
  p.mean = {0, 0, 0};
  p.std = {1 / 255.f, 1 / 255.f, 1 / 255.f};
  p.crop = 1;
  return p;
}

std::vector<uint8_t> interleaved(const Floats& chw, int channels) {
  const size_t count = static_cast<size_t>(channels), plane = chw.size() / count;
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i < plane; ++i)
    for (size_t c = 0; c < count; ++c) bytes.push_back(static_cast<uint8_t>(std::lround(chw[c * plane + i])));
  return bytes;
}

Floats mirrored(Floats chw, int side) {
  for (auto row = chw.begin(); row != chw.end(); row += side) std::reverse(row, row + side);
  return chw;
}

// Red tells the column and green the row, four to a step.
Image coordinates(int width, int height) {
  Image image{width, height, 3, {}};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (const int v : {x / 4, y / 4, 0}) image.pixels.push_back(static_cast<uint8_t>(v));
  return image;
}

}  // namespace

TEST_CASE("for evaluation an image becomes what torchvision's Resize and CenterCrop make of it") {
  for (const golden::Eval& g : golden::evals) {
    CAPTURE(text(g.width, "x", g.height, " to ", g.image, " crop ", g.crop, " squash ", g.squash));
    Preprocess p = plain(g.image, 3);
    p.crop = g.squash ? 1 : g.crop;
    p.fit = g.squash ? Fit::both : Fit::shorter;
    p.interpolation = g.interpolation;
    CHECK(fnv1a(interleaved(evaluated(pattern(g.width, g.height, 3), p), 3)) == g.hash);
  }
}

TEST_CASE("an image of the model's size goes in as it is") {
  const Image image = pattern(28, 28, 1);
  CHECK(interleaved(evaluated(image, plain(28, 1)), 1) == image.pixels);
  Preprocess squash = plain(28, 1);
  squash.fit = Fit::both;
  CHECK(interleaved(evaluated(image, squash), 1) == image.pixels);
}

TEST_CASE("a centre that leaves an odd number of pixels begins where its library begins it") {
  Preprocess p = plain(4, 1);
  p.resize = 7;  // 3 pixels less: 1.5 before them
  const Image image = pattern(7, 7, 1);
  for (const auto& [halves, before] : {std::pair{Halves::even, 2}, {Halves::down, 1}})
    for (const Fit fit : {Fit::shorter, Fit::both}) {
      p.halves = halves;
      p.fit = fit;
      CHECK(interleaved(evaluated(image, p), 1)[0] == image.pixels[static_cast<size_t>(before * 7 + before)]);
    }
}

TEST_CASE("a squash that is cut resizes both sides to more than the model sees") {
  Preprocess p = plain(4, 1);
  p.fit = Fit::both;
  p.resize = 8;
  const Image image = pattern(20, 11, 1);
  const Image squashed = resize(image, 8, 8, p.interpolation);
  std::vector<uint8_t> middle;
  for (size_t y = 2; y < 6; ++y)
    for (size_t x = 2; x < 6; ++x) middle.push_back(squashed.pixels[y * 8 + x]);
  CHECK(interleaved(evaluated(image, p), 1) == middle);
}

TEST_CASE("an image that is less than the cut lies on black, the greater half of an odd number of pixels behind it") {
  Preprocess p = plain(6, 1);
  p.fit = Fit::none;
  CHECK(interleaved(evaluated(flat(3, 8, {200}), p), 1) ==
        std::vector<uint8_t>{0, 200, 200, 200, 0, 0, 0, 200, 200, 200, 0, 0, 0, 200, 200, 200, 0, 0,
                             0, 200, 200, 200, 0, 0, 0, 200, 200, 200, 0, 0, 0, 200, 200, 200, 0, 0});
  p.fit = Fit::both;
  p.resize = 3;
  const std::vector<uint8_t> made = interleaved(evaluated(flat(9, 20, {7}), p), 1);
  for (size_t y = 0; y < 6; ++y)
    for (size_t x = 0; x < 6; ++x) CHECK(made[y * 6 + x] == (y >= 1 && y < 4 && x >= 1 && x < 4 ? 7 : 0));
  // Black before it is normalised, and in all channels.
  p.channels = 3;
  p.mean = {0.5f, 0.25f, 0};
  p.std = {0.5f, 0.5f, 1};
  const Floats grey = evaluated(flat(9, 20, {7}), p);
  CHECK(grey[0] == -1.f);
  CHECK(grey[36] == -0.5f);
  CHECK(grey[72] == 0.f);
}

TEST_CASE("no image is prepared for a model that sees other than one or three channels") {
  Preprocess p = plain(6, 3);
  p.channels = 4;
  Floats chw(4 * 36);
  CHECK(sentence(Fault::input, [&] { prepare_eval(pattern(6, 6, 3), p, chw.data()); }) ==
        "the model sees 4 channels, but images have 1 (grey) or 3 (colour)");
}

TEST_CASE("where nothing is resized or cut, an image of another size than the model's is refused") {
  Preprocess p = plain(28, 1);
  p.cut = false;
  p.fit = Fit::none;
  CHECK(interleaved(evaluated(pattern(28, 28, 1), p), 1) == pattern(28, 28, 1).pixels);
  CHECK(sentence(Fault::input, [&] { evaluated(pattern(28, 29, 1), p); }) ==
        "an image of 28 x 29 is not resized, as its model's library has it, expected 28 x 28");
  p.fit = Fit::shorter;
  CHECK(interleaved(evaluated(pattern(40, 40, 1), p), 1) == resize(pattern(40, 40, 1), 28, 28, p.interpolation).pixels);
  CHECK(sentence(Fault::input, [&] { evaluated(pattern(60, 30, 1), p); }) ==
        "an image of 60 x 30 becomes 56 x 28 and is not cut, as its model's library has it, expected 28 x 28");
}

TEST_CASE("values are normalised per channel as PyTorch does it") {
  Preprocess p = plain(1, 3);
  p.mean = {0.485f, 0.456f, 0.406f};
  p.std = {0.229f, 0.224f, 0.225f};
  const Floats made = evaluated(flat(1, 1, {0, 100, 255}), p);
  CHECK(made[0] == (0 / 255.f - 0.485f) / 0.229f);
  CHECK(made[1] == (100 / 255.f - 0.456f) / 0.224f);
  CHECK(made[2] == (255 / 255.f - 0.406f) / 0.225f);
}

TEST_CASE("grey fills all planes of a colour model, and colour becomes luma for a grey one") {
  const Image grey = pattern(20, 30, 1);
  CHECK(evaluated(grey, plain(16, 3)) == evaluated(to_channels(grey, 3), plain(16, 3)));
  const Image colour = pattern(20, 30, 3);
  CHECK(evaluated(colour, plain(16, 1)) == evaluated(to_channels(colour, 1), plain(16, 1)));
}

TEST_CASE("an image of one row is prepared without making its whole width") {
  const Floats made = evaluated(flat(30'000, 1, {40}), plain(64, 1));
  CHECK(std::all_of(made.begin(), made.end(), [](float v) { return std::lround(v) == 40; }));
}

TEST_CASE("without crop and padding a training image is the evaluation's, mirrored half of the time") {
  const Image image = pattern(40, 50, 3);
  const Preprocess p = plain(24, 3);
  Augment augment;
  augment.random_crop = false;
  const Floats straight = evaluated(image, p), turned = mirrored(straight, 24);
  REQUIRE(straight != turned);
  int flips = 0;
  for (uint64_t sample = 0; sample < 400; ++sample) {
    const Floats made = trained(image, p, augment, sample);
    const bool flipped = made == turned;
    CHECK((flipped || made == straight));
    flips += flipped;
  }
  CHECK(flips > 150);
  CHECK(flips < 250);
  augment.flip = false;
  for (uint64_t sample = 0; sample < 20; ++sample) CHECK(trained(image, p, augment, sample) == straight);
}

TEST_CASE("padding shifts an image by every offset up to the pad, with black behind it") {
  const Image image = flat(6, 6, {200});
  Augment augment;
  augment.pad = 2;
  augment.flip = false;
  std::set<std::pair<int, int>> seen;
  for (uint64_t sample = 0; sample < 600; ++sample) {
    const std::vector<uint8_t> made = interleaved(trained(image, plain(6, 1), augment, sample), 1);
    int match = 0;
    for (int right = -2; right <= 2; ++right)
      for (int down = -2; down <= 2; ++down) {
        std::vector<uint8_t> shifted(36);
        for (int y = 0; y < 6; ++y)
          for (int x = 0; x < 6; ++x)
            if (x - right >= 0 && x - right < 6 && y - down >= 0 && y - down < 6)
              shifted[static_cast<size_t>(y * 6 + x)] = 200;
        if (made != shifted) continue;
        ++match;
        seen.emplace(right, down);
      }
    CHECK(match == 1);
  }
  CHECK(seen.size() == 25);
}

TEST_CASE("a pad wider than the image leaves pixels or black, nothing else") {
  Augment augment;
  augment.pad = 9;
  for (uint64_t sample = 0; sample < 100; ++sample)
    for (const uint8_t v : interleaved(trained(flat(4, 4, {200}), plain(4, 1), augment, sample), 1))
      CHECK((v == 0 || v == 200));
}

TEST_CASE("the same draws give the crop of torchvision's RandomResizedCrop") {
  for (const golden::Crop& g : golden::crops) {
    CAPTURE(text(g.width, " x ", g.height, " item ", g.item));
    Stream stream(1, Purpose::test, 0, g.item);
    const Crop made = random_crop(g.width, g.height, {.random_crop = true, .area = g.area, .ratio = g.ratio}, stream);
    CHECK(made.left == g.left);
    CHECK(made.top == g.top);
    CHECK(made.width == g.crop_width);
    CHECK(made.height == g.crop_height);
  }
}

TEST_CASE("a random crop keeps to the areas and ratios asked for") {
  const Image image = coordinates(400, 300);
  const Preprocess p = [] {
    Preprocess q = plain(100, 3);
    q.interpolation = Interpolation::bilinear;
    return q;
  }();
  Augment augment;
  augment.flip = false;
  augment.area = {0.2f, 0.6f};
  double least = 1, most = 0, low_ratio = 9, high_ratio = 0;
  for (uint64_t sample = 0; sample < 300; ++sample) {
    const Floats made = trained(image, p, augment, sample);
    const auto at = [&](int c, int y, int x) {
      return static_cast<double>(made[static_cast<size_t>((c * 100 + y) * 100 + x)]);
    };
    // From pixel 10 to pixel 90, away from the edges, is 0.8 of the crop.
    const double width = (at(0, 50, 90) - at(0, 50, 10)) * 4 / 0.8, height = (at(1, 90, 50) - at(1, 10, 50)) * 4 / 0.8;
    least = std::min(least, width * height / (400 * 300));
    most = std::max(most, width * height / (400 * 300));
    low_ratio = std::min(low_ratio, width / height);
    high_ratio = std::max(high_ratio, width / height);
  }
  CHECK(least == doctest::Approx(0.2).epsilon(0.1));
  CHECK(most == doctest::Approx(0.6).epsilon(0.1));
  CHECK(low_ratio == doctest::Approx(0.75).epsilon(0.1));
  CHECK(high_ratio == doctest::Approx(1.333).epsilon(0.1));
}

TEST_CASE("an image too long for any ratio is cut in its middle") {
  Augment augment;
  augment.flip = false;
  augment.area = {0.5f, 1.f};
  // 4/3 of the height of 12 makes 16 columns: 492 to 507 of 1000.
  const Floats wide = trained(coordinates(1000, 12), plain(8, 3), augment, 0);
  CHECK(*std::min_element(wide.begin(), wide.begin() + 64) == doctest::Approx(492 / 4));
  CHECK(*std::max_element(wide.begin(), wide.begin() + 64) == doctest::Approx(507 / 4));
  const Floats tall = trained(coordinates(12, 1000), plain(8, 3), augment, 0);
  CHECK(*std::min_element(tall.begin() + 64, tall.begin() + 128) == doctest::Approx(492 / 4));
  CHECK(*std::max_element(tall.begin() + 64, tall.begin() + 128) == doctest::Approx(507 / 4));
}

TEST_CASE("the same stream makes the same training image, another makes another") {
  const Image image = pattern(60, 50, 3);
  CHECK(trained(image, plain(32, 3), {}, 3) == trained(image, plain(32, 3), {}, 3));
  CHECK(trained(image, plain(32, 3), {}, 3) != trained(image, plain(32, 3), {}, 4));
}

TEST_CASE("senseless preprocessing is a misuse") {
  Floats room(3);
  const Image image = flat(4, 4, {1, 2, 3});
  Preprocess p = plain(1, 3);
  p.crop = 0;
  CHECK(contains(sentence(Fault::internal, [&] { prepare_eval(image, p, room.data()); }), "crop 0"));
  p = plain(2, 3);
  p.resize = -1;
  CHECK(contains(sentence(Fault::internal, [&] { prepare_eval(image, p, room.data()); }), "resized to -1"));
  Augment augment;
  augment.area = {0.5f, 0.1f};
  Stream stream(1, Purpose::test);
  CHECK(contains(sentence(Fault::internal, [&] { prepare_train(image, plain(1, 3), augment, stream, room.data()); }),
                 "area 0.5 to 0.1"));
}

}  // namespace shear::test
