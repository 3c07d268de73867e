// A run and its directory: what is dropped and made again on resume, what is told of, what is not overwritten.
#include <doctest/doctest.h>

#include "run_fixture.h"

using namespace shear;
using namespace shear::test;

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
