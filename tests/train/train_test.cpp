// The trainer: what it yields does not depend on when it was interrupted.
#include <doctest/doctest.h>

#include <algorithm>

#include "run_fixture.h"

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
    std::string update = "after", state = "f32", clip_by{};
  };
  for (const auto& [optimizer, threads, precision, update, state, clip_by] :
       {Case{"adamw", 1, "f32"},
        {"sgd", 2, "f32"},
        {"adamw", 2, "bf16"},
        {"adamw", 2, "f32", "in-backward", "8bit"},
        {"sgd", 1, "f32", "in-backward", "8bit", "tensor"}}) {
    if (test_device() != DeviceKind::cpu && optimizer == "sgd") continue;  // minutes of an emulated one
    CAPTURE(optimizer);
    CAPTURE(precision);
    CAPTURE(update);
    Recipe recipe = small_recipe(dir / "data");
    recipe.optimizer = optimizer;
    recipe.precision = precision;
    recipe.dropout = 0.1;
    recipe.smoothing = 0.1;
    recipe.augment = "pad";
    recipe.accumulate = update == "in-backward" ? 1 : 2;
    recipe.update = update;
    recipe.state = state;
    recipe.clip_by = clip_by;
    recipe.clip = 0.5;
    if (state == "8bit")
      recipe.model = "vit:image=8,patch=4,dim=40,depth=2,heads=2,channels=1";  // large enough for codes
    const std::string name = optimizer + '-' + precision + '-' + update;
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
