// What is trained and how: recipes, and the names of parameters.
#include <doctest/doctest.h>

#include <limits>

#include "errors.h"
#include "run_fixture.h"
#include "shear/models/vit.h"
#include "shear/utf8.h"

using namespace shear;
using namespace shear::test;

TEST_CASE("what is trained is named by patterns, and a name that nothing has is refused with what was near") {
  Device device(test_backend(1), small_step);
  const auto trained = [&](std::string_view which) {
    Vit model(device, {.image = 8, .patch = 4, .dim = 12, .depth = 12, .heads = 2, .classes = 3, .channels = 1}, 1);
    choose_trainable(model.parameters(), which);
    std::string names;
    for (const Param& p : model.parameters())
      if (p.trainable) names += p.name + ' ';
    return names;
  };
  CHECK(trained("head") == "head.weight head.bias ");
  CHECK(
      trained("blocks.{10..11}.norm1,head") ==
      "blocks.10.norm1.weight blocks.10.norm1.bias blocks.11.norm1.weight blocks.11.norm1.bias head.weight head.bias ");
  CHECK(trained("blocks.1.norm1.bias") == "blocks.1.norm1.bias ");
  CHECK(trained("*.{3..3}.attn.*.weight") == "blocks.3.attn.qkv.weight blocks.3.attn.proj.weight ");
  CHECK(trained("cls_token,pos_embed") == "cls_token pos_embed ");
  CHECK(trained("all").find("blocks.7.mlp.fc2.weight") != std::string::npos);
  CHECK(sentence(Fault::usage, [&] {
          trained("head,blocks.{12..13}");
        }).find("the model has no parameter blocks.{12..13}; expected all, head") != std::string::npos);
  CHECK(sentence(Fault::usage, [&] { trained("haed"); }).find("haed (did you mean head?)") != std::string::npos);
  CHECK(sentence(Fault::usage, [&] { trained("head,"); }).find("without a name") != std::string::npos);
}

TEST_CASE("a recipe survives its JSON, and refuses what makes no sense") {
  Recipe r;
  r.data = "somewhere";
  r.lr = 0.1;
  r.image.mean = {0.485, 0.456, 0.406};
  r.seed = ~uint64_t{0};
  r.train = "head";
  resolve_defaults(r);
  CHECK(r.epochs == 10);
  const Recipe again = recipe_from_json(to_json(r));
  CHECK(to_json(again) == to_json(r));
  CHECK(again.lr == 0.1);
  CHECK(again.seed == ~uint64_t{0});
  CHECK(again.image.mean == r.image.mean);
  CHECK_FALSE(again.image.crop);

  const auto refused = [&](auto change) {
    Recipe bad = r;
    change(bad);
    try {
      resolve_defaults(bad);
    } catch (const Error& e) {
      return e.fault() == Fault::usage;
    }
    return false;
  };
  CHECK(refused([](Recipe& b) { b.batch = 0; }));
  CHECK(refused([](Recipe& b) { b.accumulate = 3; }));
  CHECK(refused([](Recipe& b) { b.lr = 0; }));
  CHECK(refused([](Recipe& b) { b.dropout = 1; }));
  CHECK(refused([](Recipe& b) { b.steps = 4; }));  // beside epochs
  CHECK(refused([](Recipe& b) { b.optimizer = "adam"; }));
  CHECK(refused([](Recipe& b) { b.augment = "mixup"; }));
  CHECK(refused([](Recipe& b) { b.precision = "f16"; }));
  CHECK(refused([](Recipe& b) { b.image.crop = 1.5; }));
  CHECK(refused([](Recipe& b) { b.data.clear(); }));
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (const double bad : {nan, infinity, -infinity, -1., 1e300, 1e-300}) {
    CAPTURE(bad);
    CHECK(refused([&](Recipe& b) { b.lr = bad; }));
    CHECK(refused([&](Recipe& b) { b.weight_decay = bad; }));
    CHECK(refused([&](Recipe& b) { b.momentum = bad; }));
    CHECK(refused([&](Recipe& b) { b.clip = bad; }));
    CHECK(refused([&](Recipe& b) { b.smoothing = bad; }));
    CHECK(refused([&](Recipe& b) { b.read.val_share = bad; }));
    CHECK(refused([&](Recipe& b) { b.image.std = {0.5, bad, 0.5}; }));
  }
  for (const int64_t bad : {std::numeric_limits<int64_t>::min(), int64_t{-1}, std::numeric_limits<int64_t>::max()}) {
    CHECK(refused([&](Recipe& b) { b.batch = bad; }));
    CHECK(refused([&](Recipe& b) { b.epochs = bad; }));
    CHECK(refused([&](Recipe& b) { b.warmup = bad; }));
    CHECK(refused([&](Recipe& b) { b.eval_every = bad; }));
    CHECK(refused([&](Recipe& b) { b.image.size = bad; }));
  }
}

TEST_CASE("a path that is not UTF-8 survives a recipe's JSON") {
  Recipe r;
  for (const std::string path : {"/data/cr\xe8me", "/\xff\x80\x01", "/plain", "/\xc3\xa9", "", "bytes:2f"}) {
    r.data = r.weights = path;
    const std::string json = to_json(r);
    CHECK(is_utf8(json));
    CHECK(recipe_from_json(json).data == path);
    CHECK(recipe_from_json(json).weights == path);
  }
  for (const std::string text : {"bytes:", "bytes:f", "bytes:zz", "bytes:2fzz", "bytes:2f2"})
    CHECK((text_from_json(text) == text || text == "bytes:"));
  CHECK(text_from_json("bytes:2fe8") == "/\xe8");
}
