// A run that goes on when its data has moved or changed, or for longer than it was to be.
#include "photo_fixture.h"

using namespace shear;
using namespace shear::test;
namespace fs = std::filesystem;

namespace {

nlohmann::json progress_of(const fs::path& run) {
  return nlohmann::json::parse(SafeTensors(run / "last.safetensors").metadata().at("shear.progress"));
}

}  // namespace

TEST_CASE("a run whose data has moved goes on to the same weights") {
  const TempDir dir;
  write_photos(dir / "here");
  Recipe recipe = photo_recipe(dir / "here");
  train_quietly(recipe, in(dir / "whole"));
  RunOptions run = in(dir / "run");
  run.stop_after = 7;
  train_quietly(recipe, run);
  fs::rename(dir / "here", dir / "there");
  run.stop_after = 0;
  run.resume = true;
  CHECK(message_of(recipe, run, Fault::input).find("does not exist") != std::string::npos);
  recipe.data = (dir / "there").string();
  Listener listener;
  CHECK(train(recipe, run, listener).end == TrainEnd::finished);
  CHECK(listener.warnings.empty());
  const SafeTensors whole(dir / "whole/model.safetensors"), moved(dir / "run/model.safetensors");
  for (const TensorView& t : whole.tensors())
    CHECK_MESSAGE(std::ranges::equal(t.bytes, moved.find(t.name)->bytes), t.name);
  CHECK(read_recipe(dir / "run").data == recipe.data);
}

TEST_CASE("without an image that was deleted a run goes on, says so, and begins an epoch in an order of its own") {
  const TempDir dir;
  write_photos(dir / "data");
  const Recipe recipe = photo_recipe(dir / "data");
  RunOptions run = in(dir / "run");
  run.stop_after = 7;  // an epoch and two steps
  train_quietly(recipe, run);
  fs::remove(dir / "data/train/dog/3.png");  // 39 are left: four steps an epoch
  run.resume = true;
  run.stop_after = 9;
  Listener listener;
  train(recipe, run, listener);
  CHECK(said(listener.warnings, "39 training images, where the run had 40"));
  CHECK(said(listener.warnings, "an epoch in an order of its own begins after step 7"));
  const auto progress = progress_of(dir / "run");
  CHECK(progress["first_step"] == 7);
  CHECK(progress["first_epoch"] == 2);  // the second one, begun with 40 images, is left
  CHECK(progress["epochs_before"] == 1.4);
  CHECK(listener.steps.back().epoch == doctest::Approx(1.4 + 2. / 4));

  // From there on it is a run like any other: resumed once more, it ends with the bits of one that was not stopped.
  const fs::path copy = dir / "copy";
  fs::copy(dir / "run", copy, fs::copy_options::recursive);
  run.stop_after = 0;
  Listener quiet;
  CHECK(train(recipe, run, quiet).end == TrainEnd::finished);
  CHECK(quiet.warnings.empty());
  run.out = copy;
  run.stop_after = 12;
  train_quietly(recipe, run);
  run.stop_after = 0;
  train_quietly(recipe, run);
  CHECK(contents(copy / "model.safetensors") == contents(dir / "run/model.safetensors"));
}

TEST_CASE("epochs that are left are counted on the images that are there now") {
  const TempDir dir;
  write_photos(dir / "data");
  Recipe recipe = photo_recipe(dir / "data");
  recipe.steps.reset();
  recipe.epochs = 3;
  RunOptions run = in(dir / "run");
  run.stop_after = 5;
  train_quietly(recipe, run);
  write_photos(dir / "data", 32);  // eight steps an epoch
  run.resume = true;
  run.stop_after = 0;
  Listener listener;
  train(recipe, run, listener);
  CHECK(listener.steps.back().step == 5 + 2 * 8);
  CHECK(listener.steps.back().epoch == doctest::Approx(3));
}

TEST_CASE("as many images with other names or sizes are told of, and the same ones are not") {
  const TempDir dir;
  write_photos(dir / "data");
  const Recipe recipe = photo_recipe(dir / "data");
  RunOptions run = in(dir / "run");
  run.stop_after = 2;
  train_quietly(recipe, run);
  run.resume = true;
  run.stop_after = 4;
  Listener same;
  train(recipe, run, same);
  CHECK(same.warnings.empty());
  fs::rename(dir / "data/train/cat/3.png", dir / "data/train/cat/99.png");
  run.stop_after = 6;
  Listener renamed;
  train(recipe, run, renamed);
  CHECK(said(renamed.warnings, "the training images are not those that the run had"));
  write_png(dir / "data/val/cat/0.png", pattern(31, 17, 3));
  run.stop_after = 8;
  Listener resized;
  train(recipe, run, resized);
  CHECK(said(resized.warnings, "the validation images are not those that the run had"));
  CHECK_FALSE(said(resized.warnings, "the training images"));
}

TEST_CASE("a run goes on for more steps than it was to have, stopped or finished") {
  const TempDir dir;
  write_photos(dir / "data");
  Recipe recipe = photo_recipe(dir / "data");
  recipe.steps = 10;
  RunOptions run = in(dir / "run");
  CHECK(train_quietly(recipe, run).end == TrainEnd::finished);
  run.resume = true;
  recipe.steps = 15;
  run.stop_after = 12;
  Listener listener;
  CHECK(train(recipe, run, listener).end == TrainEnd::interrupted);
  CHECK(said(listener.notes, "the learning rate is that of a run of this length"));
  CHECK(listener.steps.front().step == 11);
  CHECK(listener.steps.front().lr > 0);
  CHECK_FALSE(fs::exists(dir / "run/summary.json"));  // it is not finished any more
  run.stop_after = 0;
  const TrainOutcome end = train_quietly(recipe, run);
  CHECK(nlohmann::json::parse(end.summary)["steps"] == 15);
  CHECK(timeless(dir / "run/metrics.jsonl").size() == 15 + 3);

  recipe.steps = 12;
  CHECK(message_of(recipe, run, Fault::usage).find("has done 15 steps") != std::string::npos);
  recipe.steps.reset();
  recipe.epochs = 4;
  CHECK(nlohmann::json::parse(train_quietly(recipe, run).summary)["steps"] == 20);
}

TEST_CASE("what a run cannot change is refused with what to do instead") {
  const TempDir dir;
  write_photos(dir / "data");
  Recipe recipe = photo_recipe(dir / "data");
  RunOptions run = in(dir / "run");
  run.stop_after = 2;
  train_quietly(recipe, run);
  run.resume = true;
  recipe.lr = 0.5;
  CHECK(message_of(recipe, run, Fault::usage).find("a new run can begin with its weights") != std::string::npos);
  recipe = photo_recipe(dir / "data");
  write_png(dir / "data/train/emu/0.png", flat(8, 8, {9, 9, 9}));
  CHECK(message_of(recipe, run, Fault::input).find("classes are not the 2") != std::string::npos);
}

TEST_CASE("a data set whose path is no UTF-8 trains, and its run goes on") {
  const TempDir dir;
  const fs::path data = dir / "caf\xe9";
  write_photos(data);
  const Recipe recipe = photo_recipe(data);
  RunOptions run = in(dir / "run");
  run.stop_after = 3;
  train_quietly(recipe, run);
  run.resume = true;
  run.stop_after = 0;
  CHECK(train_quietly(read_recipe(dir / "run"), run).end == TrainEnd::finished);
}
