// Checkpoints: damage is noticed, the one before is offered, and nothing that was computed is lost.
#include <sys/stat.h>

#include <cstring>
#include <map>

#include "photo_fixture.h"

using namespace shear;
using namespace shear::test;
namespace fs = std::filesystem;

namespace {

// A run of 30 steps that was stopped after 17: its last checkpoint is of step 17, the one before of step 14.
struct Stopped {
  TempDir dir;
  Recipe recipe;
  RunOptions run;

  Stopped() {
    write_idx(dir / "data");
    recipe = small_recipe(dir / "data");
    run = in(dir / "run");
    run.stop_after = 17;
    train_quietly(recipe, run);
    run.stop_after = 0;
    run.resume = true;
  }
  fs::path last() const { return dir / "run/last.safetensors"; }
  fs::path previous() const { return dir / "run/previous.safetensors"; }
};

int64_t step_of(const fs::path& checkpoint) {
  return nlohmann::json::parse(SafeTensors(checkpoint).metadata().at("shear.progress"))["step"];
}

std::string flipped(std::string bytes, size_t at, int bit) {
  bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
  return bytes;
}

}  // namespace

TEST_CASE("a bit that flipped anywhere in a checkpoint is noticed when a run goes on from it") {
  Stopped s;
  const std::string whole = contents(s.last());
  uint64_t header = 0;
  std::memcpy(&header, whole.data(), sizeof header);
  // Behind the header's text stand blanks, up to a multiple of eight: what flips there changes nothing, or is no JSON.
  const size_t text_end = whole.find_last_not_of(' ', 7 + header) + 1;
  Stream stream(3, Purpose::test);
  for (int i = 0; i < 200; ++i) {
    const bool in_header = i % 2 == 0;
    const size_t at = in_header ? stream.below(static_cast<uint32_t>(text_end))
                                : 8 + header + stream.below(static_cast<uint32_t>(whole.size() - 8 - header));
    const int bit = static_cast<int>(stream.below(8));
    CAPTURE(at);
    CAPTURE(bit);
    put(s.last(), flipped(whole, at, bit));
    CHECK(message_of(s.recipe, s.run, Fault::input).find("last.safetensors") != std::string::npos);
  }
  put(s.last(), whole);
  CHECK(train_quietly(s.recipe, s.run).end == TrainEnd::finished);
}

TEST_CASE("the checkpoint before a damaged one is offered, and going on from it ends with the same bits") {
  Stopped s;
  CHECK(step_of(s.last()) == 17);
  CHECK(step_of(s.previous()) == 14);
  const std::string whole = contents(s.last());
  put(s.last(), flipped(whole, whole.size() - 5, 3));
  const std::string sentence = message_of(s.recipe, s.run, Fault::input);
  CHECK(sentence.find("its checksum differs") != std::string::npos);
  CHECK(sentence.find("of step 14, is whole: --resume " + s.previous().string()) != std::string::npos);
  put(s.last(), whole.substr(0, whole.size() / 2));
  CHECK(message_of(s.recipe, s.run, Fault::input).find("of step 14") != std::string::npos);
  fs::remove(s.last());
  CHECK(message_of(s.recipe, s.run, Fault::input).find("of step 14") != std::string::npos);

  put(s.last(), flipped(whole, whole.size() - 5, 3));
  s.run.from = s.previous();
  s.run.stop_after = 20;
  train_quietly(s.recipe, s.run);
  CHECK(step_of(s.last()) == 20);
  CHECK(step_of(s.previous()) == 14);  // the damaged one did not take its place
  s.run.from.clear();
  s.run.stop_after = 0;
  CHECK(train_quietly(s.recipe, s.run).end == TrainEnd::finished);
  CHECK_FALSE(fs::exists(s.previous()));  // the run is finished
  train_quietly(s.recipe, in(s.dir / "whole"));
  for (const char* file : {"last.safetensors", "best.safetensors", "model.safetensors"})
    CHECK_MESSAGE(contents(s.dir / "whole" / file) == contents(s.dir / "run" / file), file);
}

TEST_CASE("a checkpoint that has lost its checksums is refused, one of before there were any goes on") {
  Stopped s;
  const SafeTensors file(s.last());
  std::vector<TensorToWrite> tensors;
  for (const TensorView& t : file.tensors()) tensors.push_back({t.name, t.dtype, t.shape, t.bytes.data()});
  auto metadata = file.metadata();
  CHECK(metadata.erase("shear.checksums") == 1);
  write_safetensors(s.last(), tensors, metadata);
  CHECK(message_of(s.recipe, s.run, Fault::input).find("has lost its checksums") != std::string::npos);

  auto progress = nlohmann::json::parse(metadata["shear.progress"]);
  for (const char* later : {"checksums", "train_data", "val_data", "first_step", "first_epoch", "epochs_before"})
    CHECK(progress.erase(later) == 1);
  metadata["shear.progress"] = progress.dump();
  write_safetensors(s.last(), tensors, metadata);
  CHECK(train_quietly(s.recipe, s.run).end == TrainEnd::finished);
  train_quietly(s.recipe, in(s.dir / "whole"));
  CHECK(contents(s.dir / "whole/model.safetensors") == contents(s.dir / "run/model.safetensors"));
}

TEST_CASE("the files of a run that is written over go once the first checkpoint of the new one stands") {
  Stopped s;
  train_quietly(s.recipe, s.run);
  const auto files = [&] {
    std::map<std::string, std::string> all;
    for (const fs::directory_entry& entry : fs::directory_iterator(s.dir / "run"))
      if (entry.is_regular_file()) all[entry.path().filename()] = contents(entry.path());
    return all;
  };
  const auto before = files();
  CHECK(before.contains("model.safetensors"));
  RunOptions over = in(s.dir / "run");
  over.overwrite = true;

  Recipe wrong = s.recipe;  // what is wrong is known when data or weights are read ...
  wrong.data = (s.dir / "nothing").string();
  message_of(wrong, over, Fault::input);
  CHECK(files() == before);
  over.memory_limit = 1000;  // ... when the step is planned ...
  message_of(s.recipe, over, Fault::memory);
  CHECK(files() == before);
  over.memory_limit = 0;
  put_below(s.dir / "run/.last.safetensors.tmp/x", "");  // ... or when the first checkpoint cannot be written
  CHECK(message_of(s.recipe, over, Fault::input).find("cannot write") != std::string::npos);
  fs::remove_all(s.dir / "run/.last.safetensors.tmp");
  CHECK(files() == before);

  over.stop_after = 2;
  train_quietly(s.recipe, over);
  CHECK(files().size() == 3);  // last, previous, metrics
  CHECK(step_of(s.last()) == 2);
}

TEST_CASE("an error in the middle of a run is told after a checkpoint was written, and loses no step") {
  const TempDir dir;
  write_idx(dir / "data");
  Recipe recipe = small_recipe(dir / "data");
  recipe.policy = "prebr:period=2";
  recipe.checkpoint_every = 1000;
  recipe.eval_every = 1000;
  recipe.clip = 0;
  Recipe diverging = recipe;
  diverging.optimizer = "sgd";
  diverging.lr = 1000;
  diverging.warmup = 6;
  resolve_defaults(diverging);
  Listener listener;
  std::string sentence;
  try {
    train(diverging, in(dir / "run"), listener);
  } catch (const Error& e) {
    sentence = e.what();
  }
  CHECK(sentence.find("expected") != std::string::npos);
  const int64_t done = std::ssize(listener.steps);
  CHECK(done > 0);
  CHECK(said(listener.warnings, text("a checkpoint of step ", done, " was written before")));
  CHECK(step_of(dir / "run/last.safetensors") == done);
  // It is the checkpoint that a run stopped there has, the policy's state included.
  RunOptions stopped = in(dir / "stopped");
  stopped.stop_after = done;
  train_quietly(diverging, stopped);
  CHECK(contents(dir / "run/last.safetensors") == contents(dir / "stopped/last.safetensors"));
}

TEST_CASE("a step that breaks off between two of its updates reaches no file, and the last checkpoint is told of") {
  const TempDir dir;
  write_idx(dir / "data");
  Recipe recipe = small_recipe(dir / "data");
  recipe.checkpoint_every = 1000;
  recipe.clip = 0;
  recipe.optimizer = "sgd";
  recipe.update = "in-backward";
  RunOptions first = in(dir / "first");
  first.stop_after = 1;
  train_quietly(recipe, first);
  // What the first norm is given is zero, and its gradient there is 1e3 times its huge weight: times pixels of 1e6,
  // that of the weights of patches is more than a float.  All before it in backward is finite, and updated.
  const SafeTensors trained(dir / "first/last.safetensors");
  std::vector<std::vector<float>> values;
  std::vector<TensorToWrite> tensors;
  for (const TensorView& t : trained.tensors()) {
    if (t.name.starts_with("optimizer.")) continue;
    std::vector<float>& v = values.emplace_back(read_floats(trained, t));
    if (t.name.starts_with("patch_embed.") || t.name == "pos_embed" || t.name == "cls_token") std::ranges::fill(v, 0.f);
    if (t.name == "blocks.0.norm1.weight") std::ranges::fill(v, 1e34f);
  }
  for (size_t i = 0; const TensorView& t : trained.tensors())
    if (!t.name.starts_with("optimizer.")) tensors.push_back({t.name, DType::f32, t.shape, values[i++].data()});
  auto metadata = trained.metadata();
  for (const char* key : {"shear.progress", "shear.recipe", "shear.checksums"}) metadata.erase(key);
  write_safetensors(dir / "huge.safetensors", tensors, metadata);
  recipe.weights = (dir / "huge.safetensors").string();
  recipe.model.clear();
  recipe.image.std = {1e-6, 1e-6, 1e-6};
  Listener listener;
  std::string told;
  try {
    train(recipe, in(dir / "run"), listener);
  } catch (const Error& e) {
    CHECK(e.fault() == Fault::input);
    told = e.what();
  }
  CHECK(told.starts_with("step 1: the gradient of patch_embed.proj.weight is not finite; expected finite values"));
  CHECK(said(listener.warnings, "between two updates of a step; the last checkpoint is of step 0"));
  CHECK(step_of(dir / "run/last.safetensors") == 0);
  const SafeTensors last(dir / "run/last.safetensors");
  CHECK(read_floats(last, *last.find("pos_embed")) == std::vector<float>(5 * 16, 0));
}

TEST_CASE("an image of the validation part that is broken loses no step") {
  const TempDir dir;
  write_photos(dir / "data");
  const fs::path image = dir / "data/val/dog/2.png";
  const std::string whole = contents(image);
  put(image, whole.substr(0, whole.size() - 20));
  Recipe recipe = photo_recipe(dir / "data");
  recipe.checkpoint_every = 1000;
  CHECK(message_of(recipe, in(dir / "run"), Fault::input).find("dog/2.png") != std::string::npos);
  CHECK(step_of(dir / "run/last.safetensors") == 5);
  put(image, whole);
  RunOptions run = in(dir / "run");
  run.resume = true;
  CHECK(train_quietly(recipe, run).end == TrainEnd::finished);
  train_quietly(recipe, in(dir / "whole"));
  CHECK(contents(dir / "run/model.safetensors") == contents(dir / "whole/model.safetensors"));
}

TEST_CASE("an error outside of the step is told after a checkpoint was written") {
  const TempDir dir;
  write_idx(dir / "data");
  Recipe recipe = small_recipe(dir / "data");
  recipe.checkpoint_every = 1000;
  struct Breaking : Listener {
    void step(const StepMetrics& m) override {
      if (m.step == 6) throw Error(Fault::input, "as if a disk had gone");
    }
  } breaking;
  CHECK_THROWS_AS(train(recipe, in(dir / "run"), breaking), Error);
  CHECK(said(breaking.warnings, "a checkpoint of step 6 was written before"));
  RunOptions run = in(dir / "run");
  run.resume = true;
  CHECK(train_quietly(recipe, run).end == TrainEnd::finished);
  train_quietly(recipe, in(dir / "whole"));
  CHECK(contents(dir / "run/model.safetensors") == contents(dir / "whole/model.safetensors"));
}

TEST_CASE("a training takes away what a killed writer of its own files left, and nothing else") {
  const TempDir dir;
  write_idx(dir / "data");
  const Recipe recipe = small_recipe(dir / "data");
  put_below(dir / "run/.notes.tmp", "the user's own");
  put_below(dir / "run/.probe", "the user's own");
  put_below(dir / "run/.last.safetensors.tmp", "half");
  put_below(dir / "run/summary.json", "of an earlier run");
  CHECK(message_of(recipe, in(dir / "run"), Fault::input).find("holds a run already") != std::string::npos);
  CHECK(fs::exists(dir / "run/.last.safetensors.tmp"));  // the directory is not this run's
  fs::remove(dir / "run/summary.json");
  train_quietly(recipe, in(dir / "run"));
  CHECK(contents(dir / "run/.notes.tmp") == "the user's own");
  CHECK(contents(dir / "run/.probe") == "the user's own");
  CHECK_FALSE(fs::exists(dir / "run/.last.safetensors.tmp"));
}

TEST_CASE("a pipe in the place of a run's file is refused, not waited for") {
  Stopped s;
  fs::remove(s.dir / "run/metrics.jsonl");
  REQUIRE(::mkfifo((s.dir / "run/metrics.jsonl").c_str(), 0600) == 0);
  CHECK(message_of(s.recipe, s.run, Fault::input).find("metrics.jsonl") != std::string::npos);
  fs::remove(s.last());
  REQUIRE(::mkfifo(s.last().c_str(), 0600) == 0);
  CHECK(message_of(s.recipe, s.run, Fault::input).find("last.safetensors") != std::string::npos);
}
