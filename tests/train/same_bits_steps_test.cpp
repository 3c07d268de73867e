// Whole training steps have the same bits on any number of threads, under every policy; and so a run may be resumed on
// another number.
#include <doctest/doctest.h>

#include <algorithm>
#include <thread>

#include "shear/make_backend.h"
#include "shear/models/vit.h"
#include "shear/train.h"
#include "train_fixture.h"
#include "vit_run.h"

using namespace shear;
using namespace shear::test;
namespace fs = std::filesystem;

namespace {

// 204 rows of 36, and 144 in the MLP: large enough for kernels to share their work.
const VitConfig model{
    .image = 20, .patch = 5, .dim = 36, .depth = 2, .heads = 3, .classes = 7, .channels = 3, .dropout = 0.1f};
constexpr int64_t images = 12, steps = 3;

std::vector<std::string> policies() {
  std::vector<std::string> all;
  for (const PolicyDoc& doc : policy_docs()) all.emplace_back(doc.name);
  for (const char* spec : {"full:attention=materialised", "prebr:period=1,groups=2", "prebr++:period=1,sample=0.5",
                           "prebr:draw=bernoulli,period=1", "prebr:granularity=tensor,sample=0.5,period=1,frozen=skip",
                           "tokens:bits=2@blocks.*.mlp.*|checkpoint"})
    all.emplace_back(spec);
  return all;
}

Batch random_batch() {
  Batch batch;
  batch.count = images;
  Stream stream(7, Purpose::test);
  for (int64_t i = 0; i < images * model.channels * model.image * model.image; ++i)
    batch.images.push_back(stream.normal());
  for (int64_t i = 0; i < images; ++i) batch.labels.push_back(static_cast<int32_t>(i % model.classes));
  return batch;
}

struct Outcome {
  std::vector<double> numbers;             // of each step: loss, gradient norm
  std::vector<std::vector<float>> values;  // of each step the gradients; at the end parameters, moments, policy's state
  bool operator==(const Outcome&) const = default;
};

Outcome trained(const std::string& spec, const std::string& optimizer_name, Precision precision, int threads) {
  Device device(make_cpu_backend(threads, precision));
  Vit vit(device, model, 3);
  const auto policy = make_policy(spec, 2);
  const auto optimizer = make_optimizer(device, vit.parameters(), {.name = optimizer_name, .weight_decay = 0.1f});
  TrainStep step(device, vit.parameters(), std::ref(vit), *policy, *optimizer,
                 {.input = {model.channels, model.image, model.image},
                  .accumulate = 2,
                  .smoothing = 0.1f,
                  .clip = 0.01f,
                  .seed = 4});
  const Batch batch = random_batch();
  Outcome o;
  for (int64_t i = 0; i < steps; ++i) {
    const StepResult result = step(i, 0.01f, batch);
    CHECK(result.gradient_norm > 0.01);  // it was clipped
    o.numbers.insert(o.numbers.end(), {result.loss, result.gradient_norm});
    for (const Param& p : vit.parameters()) o.values.push_back(device.download(p.grad));
  }
  for (const Param& p : vit.parameters()) o.values.push_back(device.download(p.value));
  for (const StateTensor& s : optimizer->state()) o.values.push_back(device.download(s.value));
  for (const PolicyState& s : policy->state()) o.values.emplace_back(s.values.begin(), s.values.end());
  return o;
}

}  // namespace

TEST_CASE("three steps have the same bits on any number of threads: under every policy, optimizer and precision") {
  int turn = 0;
  for (const std::string& policy : policies())
    for (const Precision precision : {Precision::f32, Precision::bf16}) {
      const std::string optimizer = turn++ % 2 == 0 ? "adamw" : "sgd";
      CAPTURE(policy);
      CAPTURE(optimizer);
      CAPTURE(static_cast<int>(precision));
      const Outcome one = trained(policy, optimizer, precision, 1);
      for (const int threads : {2, 3, 5}) {
        CAPTURE(threads);
        CHECK(trained(policy, optimizer, precision, threads) == one);
      }
    }
}

TEST_CASE("a run that goes on with other threads ends with the bits that it would have ended with") {
  const TempDir dir;
  write_idx(dir / "data", 48, 0);
  for (const char* policy : {"prebr++:period=3", "checkpoint"}) {
    CAPTURE(policy);
    Recipe recipe;
    recipe.data = (dir / "data").string();
    recipe.model = "vit:image=8,patch=2,dim=48,depth=1,heads=3,channels=1";
    recipe.policy = policy;
    recipe.batch = 24;
    recipe.steps = 8;
    recipe.dropout = 0.1;
    resolve_defaults(recipe);
    TrainObserver quiet;
    const auto run = [&](const std::string& name, std::vector<int> threads) {
      RunOptions options;
      options.out = dir / (policy + name);
      for (size_t i = 0; i < threads.size(); ++i) {
        options.threads = threads[i];
        options.resume = i > 0;
        options.stop_after = i + 1 < threads.size() ? static_cast<int64_t>(8 * (i + 1) / threads.size()) : 0;
        train(recipe, options, quiet);
      }
      return contents(options.out / "model.safetensors");
    };
    const std::string whole = run("whole", {1});
    CHECK(whole.size() > 1000);
    CHECK(run("parts", {3, 1, 2}) == whole);
  }
}

TEST_CASE("devices of two threads do not know of each other") {
  const auto alone = [](int64_t step) { return VitRun(make_cpu_backend(2), model, 6, "prebr++").gradients_of(step); };
  const auto first = alone(0), second = alone(20);
  std::vector<std::vector<float>> found[2];
  {
    std::jthread a([&] { found[0] = alone(0); }), b([&] { found[1] = alone(20); });
  }
  CHECK(found[0] == first);
  CHECK(found[1] == second);
}

TEST_CASE("a device that one thread has made goes on in another") {
  VitRun here(make_cpu_backend(2), model, 6, "lean");
  const auto expected = here.gradients_of(0);
  std::vector<std::vector<float>> found;
  std::jthread([&] { found = here.gradients_of(0); }).join();
  CHECK(found == expected);
}
