// Resizing and cutting for evaluation: by the configs of timm and transformers to the pixel, and through cards.
#include <doctest/doctest.h>

#include <cmath>

#include "crop_golden.h"
#include "image_files.h"
#include "temp_dir.h"
#include "tests_dir.h"
#include "weights/source_config.h"

namespace shear::test {
namespace {

// The pixels of an image that is prepared for evaluation.
std::vector<uint8_t> seen(const Image& image, Preprocess p) {
  p.mean = {0, 0, 0};
  p.std = {1 / 255.f, 1 / 255.f, 1 / 255.f};
  const auto plane = static_cast<size_t>(p.image) * static_cast<size_t>(p.image);
  std::vector<float> chw(3 * plane);
  prepare_eval(image, p, chw.data());
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i < plane; ++i)
    for (size_t c = 0; c < 3; ++c) bytes.push_back(static_cast<uint8_t>(std::lround(chw[c * plane + i])));
  return bytes;
}

Preprocess read_back(const std::map<std::string, std::string>& metadata) {
  const TempDir dir;
  const float one = 1;
  write_safetensors(dir / "w.safetensors", std::vector<TensorToWrite>{{"x", DType::f32, {1}, &one}}, metadata);
  return read_card(SafeTensors(dir / "w.safetensors")).value().preprocess;
}

const std::string model = "vit:image=28,patch=7,dim=4,depth=1,heads=1,classes=2";

// The card of a file as it was written before there was "resize".
Preprocess old_card(const std::string& crop, bool squash, const std::string& halves = "",
                    const std::string& interpolation = "bicubic") {
  return read_back(
      {{"shear.model", model},
       {"shear.classes", "[]"},
       {"shear.preprocess",
        "{\"image\":28,\"channels\":3,\"mean\":[0.5,0.5,0.5],\"std\":[0.5,0.5,0.5],"
        "\"interpolation\":\"" +
            interpolation + "\",\"crop\":" + crop + ",\"squash\":" + (squash ? "true" : "false") + halves + "}"}});
}

}  // namespace

TEST_CASE("by its config an image is resized and cut to the bytes of timm and transformers") {
  for (const golden::Centre& g : golden::centres) {
    CAPTURE(g.config);
    CAPTURE(text(g.width, " x ", g.height));
    Preprocess p = g.timm ? parse_config(g.config, "c").preprocess.value() : parse_preprocessor(g.config, "p", {});
    CHECK(p.image == g.image);
    const Image image = pattern(g.width, g.height, 3);
    if (p.fit != Fit::longer) {
      CHECK(fnv1a(seen(image, p)) == g.hash);
      continue;
    }
    // The border has the mean colour: the pixels are taken back from the normalised values.
    p.std = {1, 1, 1};
    const auto plane = static_cast<size_t>(p.image) * static_cast<size_t>(p.image);
    std::vector<float> chw(3 * plane);
    prepare_eval(image, p, chw.data());
    std::vector<uint8_t> bytes;
    for (size_t i = 0; i < plane; ++i)
      for (size_t c = 0; c < 3; ++c)
        bytes.push_back(static_cast<uint8_t>(std::lround((chw[c * plane + i] + p.mean[c]) * 255)));
    CHECK(fnv1a(bytes) == g.hash);
  }
}

TEST_CASE("a grey image on a border is what it is in colour") {
  const Image grey = pattern(40, 21, 1);
  Preprocess p{.image = 16, .mean = {0.1f, 0.5f, 0.9f}, .fit = Fit::longer, .crop = 1};
  std::vector<float> a(3 * 16 * 16), b(a.size());
  prepare_eval(grey, p, a.data());
  prepare_eval(to_channels(grey, 3), p, b.data());
  CHECK(a == b);
  p.channels = 1;
  a.resize(16 * 16);
  prepare_eval(grey, p, a.data());
  CHECK(a.front() == doctest::Approx((std::lround(255 * 0.1) / 255. - 0.1) / 0.5));
}

TEST_CASE("a card from before there was a resized side prepares images as it did") {
  const Image image = pattern(64, 101, 3);
  const auto whole = [&](int width, int height) { return resize(image, width, height, Interpolation::bicubic); };
  CHECK(seen(image, old_card("0.9", true)) == whole(28, 28).pixels);  // a squash cut nothing, whatever it said
  const Image resized = whole(31, 48);                                // floor(28 / 0.9), and 31 * 101 / 64
  std::vector<uint8_t> cut;
  for (int y = 10; y < 38; ++y)   // 20 pixels less
    for (int x = 2; x < 30; ++x)  // 3 less: round(1.5) is 2
      for (int c = 0; c < 3; ++c) cut.push_back(resized.pixels[static_cast<size_t>((y * 31 + x) * 3 + c)]);
  CHECK(seen(image, old_card("0.9", false)) == cut);
}

TEST_CASE("a card says to the pixel how images are prepared") {
  const Image image = pattern(97, 41, 3);
  for (const Fit fit : {Fit::shorter, Fit::both, Fit::longer, Fit::none})
    for (const Halves halves : {Halves::even, Halves::down})
      for (const int resize : {0, 20, 28, 31, 35}) {
        const Preprocess p{.image = 28, .fit = fit, .crop = 0.77f, .resize = resize, .halves = halves};
        const Preprocess again = read_back(to_metadata({model, {}, p}));
        CHECK(seen(image, again) == seen(image, p));
        CHECK(again.crop == p.crop);
        CHECK(again.fit == fit);
        CHECK(again.halves == halves);
        CHECK(again.cut);
      }
  for (const std::string& name : interpolations()) {
    const Preprocess p{.image = 28, .interpolation = *parse_interpolation(name), .crop = 1.4f};
    const Preprocess again = read_back(to_metadata({model, {}, p}));
    CHECK(again.interpolation == p.interpolation);
    CHECK(seen(image, again) == seen(image, p));
  }
  CHECK_FALSE(read_back(to_metadata({model, {}, {.image = 28, .fit = Fit::none, .cut = false}})).cut);
}

TEST_CASE("the card of a model of four channels, which no image has, is read back") {
  CHECK(read_back(to_metadata({model, {}, {.image = 28, .channels = 4}})).channels == 4);
}

TEST_CASE("a card that makes no sense is refused") {
  for (const char* crop : {"0", "-1"})
    CHECK_THROWS_WITH_AS(old_card(crop, false), doctest::Contains("which is no way to prepare images"), Error);
  const auto with = [](const std::string& fields) { return [=] { old_card("1", false, fields); }; };
  CHECK(contains(sentence(Fault::input, with(R"(,"resize":-1,"fit":"both","halves":"down")")), "no way to prepare"));
  CHECK(contains(sentence(Fault::input, [] { old_card("1", false, "", "nearest"); }),
                 "shear.preprocess has \"nearest\""));
  CHECK(contains(sentence(Fault::input, with(R"(,"resize":28,"fit":"all","halves":"down")")),
                 "shear.preprocess has \"all\""));
  CHECK(contains(sentence(Fault::input, with(R"(,"resize":28,"fit":"both")")), "is not what Shear writes there"));
}

TEST_CASE("flags for the crop and the squash replace what the weights say") {
  const Preprocess weights{.image = 28, .fit = Fit::shorter, .crop = 0.8f, .resize = 35, .halves = Halves::down};
  Preprocess p = weights;
  ImageOptions flags;
  flags.crop = 0.7;
  apply(flags, p);
  CHECK(resized_side(p) == 40);
  CHECK(p.fit == Fit::shorter);
  p = weights;
  flags.crop.reset();
  flags.squash = true;
  apply(flags, p);
  CHECK(p.fit == Fit::both);
  CHECK(resized_side(p) == 28);
  flags.crop = 0.7;
  apply(flags, p);  // nothing is cut
  CHECK(resized_side(p) == 28);
  // Weights whose images are as they are do not stand in the way of either.
  p = {.image = 28, .fit = Fit::none, .cut = false};
  apply(flags, p);
  CHECK(p.cut);
  CHECK(p.fit == Fit::both);
  flags.squash = false;
  flags.interpolation = "lanczos";
  p = {.image = 28, .fit = Fit::none, .cut = false};
  apply(flags, p);
  CHECK(p.cut);
  CHECK(p.fit == Fit::shorter);
  CHECK(p.interpolation == Interpolation::lanczos);
  flags.interpolation = "nearest";
  CHECK(sentence(Fault::usage, [&] { apply(flags, p); }) ==
        "--interpolation nearest: expected bilinear, bicubic, lanczos, box or hamming");
}

}  // namespace shear::test
