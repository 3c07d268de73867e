// The trainer: what it yields does not depend on when it was interrupted.
#include <doctest/doctest.h>

#include <algorithm>
#include <limits>

#include "run_fixture.h"
#include "shear/utf8.h"

using namespace shear;
using namespace shear::test;
namespace fs = std::filesystem;

TEST_CASE("thirty steps are fifteen, a resume and fifteen, bit for bit") {
  const TempDir dir;
  write_idx(dir / "data");
  struct Case {
    std::string optimizer;
    int threads;
    std::string precision;
  };
  for (const auto& [optimizer, threads, precision] :
       {Case{"adamw", 1, "f32"}, {"sgd", 2, "f32"}, {"adamw", 2, "bf16"}}) {
    CAPTURE(optimizer);
    CAPTURE(precision);
    Recipe recipe = small_recipe(dir / "data");
    recipe.optimizer = optimizer;
    recipe.precision = precision;
    recipe.dropout = 0.1;
    recipe.smoothing = 0.1;
    recipe.augment = "pad";
    recipe.accumulate = 2;
    const std::string name = optimizer + '-' + precision;
    const fs::path whole = dir / (name + "-whole"), parts = dir / (name + "-parts");
    RunOptions run = in(whole);
    run.threads = threads;
    CHECK(train_quietly(recipe, run).end == TrainEnd::finished);

    run.out = parts;
    run.stop_after = 15;
    const TrainOutcome first = train_quietly(recipe, run);
    CHECK(first.end == TrainEnd::interrupted);
    CHECK(first.step == 15);
    CHECK_FALSE(fs::exists(parts / "model.safetensors"));
    run.resume = true;
    run.stop_after = 0;
    run.threads = 0;  // the checkpoint knows
    CHECK(train_quietly(recipe, run).end == TrainEnd::finished);

    for (const char* file : {"last.safetensors", "best.safetensors", "model.safetensors"}) {
      CAPTURE(file);
      CHECK(contents(whole / file).size() > 1000);
      CHECK(contents(whole / file) == contents(parts / file));
    }
    CHECK(timeless(whole / "metrics.jsonl") == timeless(parts / "metrics.jsonl"));
  }
}

TEST_CASE("training lowers the loss and learns the classes") {
  const TempDir dir;
  write_idx(dir / "data");
  Listener listener;
  Recipe recipe = small_recipe(dir / "data");
  recipe.steps = 100;
  recipe.lr = 0.01;
  const TrainOutcome outcome = train(recipe, in(dir / "run"), listener);
  CHECK(listener.steps.front().loss == doctest::Approx(std::log(10)).epsilon(0.1));
  CHECK(listener.steps.back().loss < 0.5 * listener.steps.front().loss);
  const auto summary = nlohmann::json::parse(outcome.summary);
  CHECK(summary["accuracy"] > 0.9);
  CHECK(summary["steps"] == 100);
  CHECK(summary["accuracy_of"] == "val");
  CHECK(nlohmann::json::parse(contents(dir / "run/summary.json")) == summary);
}

TEST_CASE("the summary has the keys of the promise, and the measured peak is the planned one") {
  const TempDir dir;
  write_idx(dir / "data", 80, 0);
  Recipe recipe = small_recipe(dir / "data");
  for (const char* policy : {"full", "lean"}) {
    recipe.policy = policy;
    const auto j = nlohmann::json::parse(train_quietly(recipe, in(dir / policy)).summary);
    for (const char* key :
         {"policy", "steps", "accuracy", "loss", "seconds", "step_seconds_median", "peak_bytes", "planned_peak_bytes",
          "parameter_bytes", "gradient_bytes", "optimizer_bytes", "saved_bytes", "workspace_bytes", "rss_peak_bytes"})
      CHECK_MESSAGE(j.contains(key), key);
    CHECK(j["policy"] == policy);
    CHECK(j["peak_bytes"] == j["planned_peak_bytes"]);
    CHECK(j["rss_peak_bytes"] > 1 << 20);
    CHECK(j["accuracy_of"] == "train");
  }
}

TEST_CASE("lines of metrics past the checkpoint are dropped on resume and made again") {
  const TempDir dir;
  write_idx(dir / "data");
  const Recipe recipe = small_recipe(dir / "data");
  RunOptions run = in(dir / "run");
  run.stop_after = 10;
  train_quietly(recipe, run);
  const std::string at_ten = contents(dir / "run/last.safetensors");
  run.resume = true;
  run.stop_after = 17;
  train_quietly(recipe, run);
  CHECK(timeless(dir / "run/metrics.jsonl").size() == 17 + 2);
  // As if the process had been killed after step 17, in the middle of a line.
  put_below(dir / "run/last.safetensors", at_ten);
  std::ofstream(dir / "run/metrics.jsonl", std::ios::app) << "{\"kind\":\"st";
  run.stop_after = 0;
  train_quietly(recipe, run);

  train_quietly(recipe, in(dir / "whole"));
  CHECK(timeless(dir / "run/metrics.jsonl") == timeless(dir / "whole/metrics.jsonl"));
  CHECK(timeless(dir / "run/metrics.jsonl").size() == 30 + 5);
}

TEST_CASE("an interrupted evaluation is made up for on resume") {
  const TempDir dir;
  write_idx(dir / "data");
  const Recipe recipe = small_recipe(dir / "data");
  std::atomic<bool> stop{false};
  struct Impatient : TrainObserver {
    std::atomic<bool>& stop;
    explicit Impatient(std::atomic<bool>& s) : stop(s) {}
    void evaluating(int64_t, int64_t) override { stop = true; }
  } impatient(stop);
  RunOptions run = in(dir / "run");
  run.stop = &stop;
  const TrainOutcome outcome = train(recipe, run, impatient);
  CHECK(outcome.end == TrainEnd::interrupted);
  CHECK(outcome.step == 7);
  CHECK(timeless(dir / "run/metrics.jsonl").size() == 7);
  run.stop = nullptr;
  run.resume = true;
  train_quietly(recipe, run);
  train_quietly(recipe, in(dir / "whole"));
  CHECK(timeless(dir / "run/metrics.jsonl") == timeless(dir / "whole/metrics.jsonl"));
  CHECK(contents(dir / "run/model.safetensors") == contents(dir / "whole/model.safetensors"));
}

TEST_CASE("a run that is finished says so, and one that holds a run is not overwritten unasked") {
  const TempDir dir;
  write_idx(dir / "data");
  Recipe recipe = small_recipe(dir / "data");
  RunOptions run = in(dir / "run");
  const TrainOutcome first = train_quietly(recipe, run);
  const std::string refused = message_of(recipe, run, Fault::input);
  CHECK(refused.find("holds a run already") != std::string::npos);

  run.resume = true;
  const TrainOutcome again = train_quietly(recipe, run);
  CHECK(again.end == TrainEnd::finished_before);
  CHECK(nlohmann::json::parse(again.summary) == nlohmann::json::parse(first.summary));

  recipe.lr = 0.1;
  const std::string differs = message_of(recipe, run, Fault::usage);
  CHECK(differs.find("began with other options") != std::string::npos);

  run.resume = false;
  run.overwrite = true;
  recipe.steps = 4;
  CHECK(train_quietly(recipe, run).end == TrainEnd::finished);
  CHECK(timeless(dir / "run/metrics.jsonl").size() == 4 + 1);
}

TEST_CASE("a step that does not fit in the limit is refused before anything is computed, with what would fit") {
  const TempDir dir;
  write_idx(dir / "data");
  const Recipe recipe = small_recipe(dir / "data");
  const ModelSpecPtr model = parse_model(std::string(tiny_model) + ",classes=10");
  PlanOptions plan{.model = model, .batch = 16, .device = test_device(), .threads = 1};
  const size_t need = plan_training(plan).use.peak;
  RunOptions run = in(dir / "run");
  run.memory_limit = need - 1;
  const std::string sentence = message_of(recipe, run, Fault::memory);
  CHECK(sentence.find("--memory-limit allows") != std::string::npos);
  CHECK(sentence.find("--accumulate 2") != std::string::npos);
  CHECK_FALSE(fs::exists(dir / "run/last.safetensors"));
  run.memory_limit = need;
  CHECK(train_quietly(recipe, run).end == TrainEnd::finished);
}

TEST_CASE("training the head leaves the rest as it was") {
  const TempDir dir;
  write_idx(dir / "data");
  Recipe recipe = small_recipe(dir / "data");
  recipe.steps = 1;
  train_quietly(recipe, in(dir / "first"));
  recipe.weights = (dir / "first/model.safetensors").string();
  recipe.model.clear();  // the weights say what they are for
  recipe.train = "head";
  recipe.steps = 3;
  train_quietly(recipe, in(dir / "second"));
  const SafeTensors before(dir / "first/model.safetensors"), after(dir / "second/model.safetensors");
  CHECK(before.tensors().size() == after.tensors().size());
  for (const TensorView& t : before.tensors()) {
    CAPTURE(t.name);
    const bool same = std::ranges::equal(t.bytes, after.find(t.name)->bytes);
    CHECK(same == !t.name.starts_with("head."));
  }
}

TEST_CASE("a class without validation images is told of") {
  const TempDir dir;
  write_idx(dir / "data", 80, 0);
  write_idx_part(dir / "data", "t10k", 16, 8, 8, 2);
  Recipe recipe = small_recipe(dir / "data");
  recipe.steps = 1;
  Listener listener;
  train(recipe, in(dir / "run"), listener);
  REQUIRE(listener.warnings.size() == 1);
  CHECK(listener.warnings[0] == "the validation part has no image of the class 8, 9");
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
