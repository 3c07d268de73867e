// What lies below the activations: weights, their updates and their state, in every combination.
#include <doctest/doctest.h>

#include <cmath>

#include "allocation_counter.h"
#include "errors.h"
#include "run_fixture.h"
#include "shear/models/vit.h"
#include "shear/policies.h"

using namespace shear;
using namespace shear::test;

namespace {

// Its larger matrices have 4,800 elements.
const VitConfig config{.image = 8, .patch = 4, .dim = 40, .depth = 2, .heads = 2, .classes = 3, .channels = 1};

struct Floor {
  const char* weights;
  const char* lora;
  const char* optimizer;
  StateAs state;
  bool in_backward;
};

// An emulated device, which takes its time, has a part of them.
const bool emulated = test_device() == DeviceKind::cuda;

std::vector<Floor> every_floor() {
  std::vector<Floor> all;
  for (const char* weights : {"f32", "bf16", "bf16+8"})
    for (const char* lora : {"", "4"})
      for (const char* optimizer : {"sgd", "adamw"})
        for (const bool low : {false, true})
          if (!emulated || (low && std::string_view(weights) != "bf16"))
            all.push_back({weights, lora, optimizer, low ? StateAs::codes : StateAs::f32, low});
  return all;
}

Batch batch_of(int64_t step) {
  Batch batch;
  batch.count = 4;
  Stream stream(5, Purpose::test, static_cast<uint64_t>(step));
  for (int64_t i = 0; i < 4 * 64; ++i) batch.images.push_back(stream.normal());
  for (int64_t i = 0; i < 4; ++i) batch.labels.push_back(static_cast<int32_t>(i % 3));
  return batch;
}

std::string words(const Floor& f) {
  return text(f.weights, " lora=", f.lora, ' ', f.optimizer, f.in_backward ? " in backward, 8 bits" : "");
}

}  // namespace

TEST_CASE("the plan's bytes are the step's in every combination of weights, LoRA, optimizer, state and update") {
  for (const Floor& f : every_floor())
    for (const std::string spec : {"full", "checkpoint", "tokens", "prebr++:sample=0.5,qkv=4"}) {
      if (emulated && spec != "tokens") continue;
      CAPTURE(words(f));
      CAPTURE(spec);
      const OptimizerOptions how{.name = f.optimizer, .state = f.state};
      const PlanOptions options{.model = model_spec(config),
                                .policy = spec,
                                .batch = 4,
                                .optimizer = how,
                                .weights_as = parse_weights_as(f.weights),
                                .lora = parse_lora(f.lora),
                                .update_in_backward = f.in_backward,
                                .device = test_device(),
                                .threads = 2};
      const Plan plan = plan_training(options);
      Device device(test_backend(2), {.step_bytes = plan.step_bytes});
      Vit model(device, config, 1, {Values::drawn, options.weights_as, options.lora});
      choose_trainable(model.parameters(), "all");
      const auto policy = make_policy(spec, 1);
      const auto optimizer = make_optimizer(device, model.parameters(), how);
      TrainStep step(device, model.parameters(), std::ref(model), *policy, *optimizer,
                     {.input = {1, 8, 8}, .update_in_backward = f.in_backward});
      for (int64_t i = 0; i < 2; ++i) {
        device.restart_peak();
        CHECK(std::isfinite(step(i, 0.01f, batch_of(i)).loss));
        CHECK(device.peak() == plan.use);
      }
      const Batch batch = batch_of(2);
      const AllocationCounter allocations;
      step(2, 0.01f, batch);
      if (!emulated) CHECK(allocations.count() == 0);
    }
}

TEST_CASE("weights of two and three bytes are what the plan counts for them") {
  const auto parameters = [](const char* weights) {
    return plan_training({.model = model_spec(config), .batch = 4, .weights_as = parse_weights_as(weights)})
        .use.parameters;
  };
  // qkv 4,800 and fc1, fc2 6,400 each, in two blocks; all else has fewer than 4,096 elements.
  const size_t large = 2 * (4800 + 6400 + 6400);
  CHECK(parameters("f32") - parameters("bf16+8") == large);
  CHECK(parameters("f32") - parameters("bf16") == 2 * large);
}

TEST_CASE("runs whose weights sleep, with LoRA or without, go on bit for bit and write weights in f32") {
  const TempDir dir;
  write_idx(dir / "data");
  for (const Floor& f : every_floor()) {
    if (!f.in_backward || (emulated && std::string_view(f.weights) != "bf16+8")) continue;
    CAPTURE(words(f));
    Recipe recipe = small_recipe(dir / "data");
    recipe.model = "vit:image=8,patch=4,dim=40,depth=2,heads=2,channels=1";
    recipe.policy = "prebr++:sample=0.5,qkv=4";
    recipe.optimizer = f.optimizer;
    recipe.weights_as = f.weights;
    recipe.lora = f.lora;
    recipe.state = "8bit";
    recipe.update = "in-backward";
    recipe.steps = 12;
    resolve_defaults(recipe);
    RunOptions run = in(dir / "run");
    run.overwrite = true;
    run.stop_after = 5;
    train_quietly(recipe, run);
    run.stop_after = 0;
    run.overwrite = false;
    run.resume = true;
    train_quietly(recipe, run);
    RunOptions whole = in(dir / "whole");
    whole.overwrite = true;
    const TrainOutcome outcome = train_quietly(recipe, whole);
    CHECK(outcome.end == TrainEnd::finished);
    for (const char* file : {"last.safetensors", "model.safetensors"})
      CHECK(contents(dir / "run" / file) == contents(dir / "whole" / file));
    const SafeTensors model(dir / "whole/model.safetensors");
    CHECK(model.tensors().size() == 32);
    for (const TensorView& t : model.tensors()) CHECK(t.dtype == DType::f32);
    const nlohmann::json summary = nlohmann::json::parse(outcome.summary);
    CHECK(summary["peak_bytes"] == summary["planned_peak_bytes"]);
  }
}

TEST_CASE("two hundred steps with weights of 24 bits end where those of f32 end, and nothing is lost with 16") {
  // A mean that is learnt from noise, at a rate that takes a hundredth of bf16's last digit a step.
  const auto trained = [](WeightsAs as, const std::string& name) {
    Device device(test_backend(2), small_step);
    Parameters parameters(device, 1, {Values::drawn, as});
    Param& p = parameters.add("w.weight", {64, 128}, Init::ones, true);
    parameters.make_gradients();
    const auto optimizer = make_optimizer(device, parameters, {.name = name});
    for (int64_t step = 0; step < 200; ++step) {
      Stream noise(1, Purpose::test, static_cast<uint64_t>(step));
      const std::vector<float> w = read_values(device, p);
      std::vector<float> g(w.size());
      for (size_t i = 0; i < g.size(); ++i) g[i] = 0.1f * (w[i] - 2.f) + 0.05f * noise.normal();
      device.run().upload(p.grad.data<void>(), g.data(), p.grad.bytes());
      p.writes = 1;
      optimizer->step(step, 1e-4f, 1);
    }
    return read_values(device, p);
  };
  for (const char* name : {"sgd", "adamw"}) {
    CAPTURE(name);
    const std::vector<float> f32 = trained(WeightsAs::f32, name), split = trained(WeightsAs::split, name),
                             half = trained(WeightsAs::bf16, name);
    double way = 0, of_split = 0, worst = 0, of_half = 0;
    for (size_t i = 0; i < f32.size(); ++i) {
      way += static_cast<double>(f32[i]) - 1;
      of_split += static_cast<double>(split[i]) - 1;
      of_half += static_cast<double>(half[i]) - 1;
      worst = std::max(worst, std::fabs(static_cast<double>(split[i]) - static_cast<double>(f32[i])));
    }
    CHECK(way > 0);
    CHECK(of_split == doctest::Approx(way).epsilon(1e-3));
    CHECK(of_half == doctest::Approx(way).epsilon(0.05));
    // The roundings of 200 steps: none is more than a digit, and they add up as a walk at random.
    CHECK(worst < 0x1p-15 * 5 * std::sqrt(200));
  }
}

TEST_CASE("a budget takes as little of the floor as it needs, in its order, and what none of it reaches is refused") {
  const PlanOptions asked{.model = model_spec(config), .batch = 4, .optimizer = {.name = "adamw"}};
  const auto peak = [](const PlanOptions& options) { return plan_training(options).use.peak; };
  std::vector<PlanOptions> steps(4, asked);
  for (size_t i = 1; i < 4; ++i) steps[i].update_in_backward = true;
  for (size_t i = 2; i < 4; ++i) steps[i].optimizer.state = StateAs::codes;
  steps[3].weights_as = WeightsAs::split;
  const std::string words[] = {"", "--update in-backward", "--update in-backward --state 8bit",
                               "--update in-backward --state 8bit --weights-as bf16+8"};
  for (size_t i = 0; i < 4; ++i) {
    CAPTURE(i);
    if (i > 0) CHECK(peak(steps[i]) < peak(steps[i - 1]));
    PlanOptions options = asked;
    CHECK(lower_floor(options, peak(steps[i])) == words[i]);
    CHECK(peak(options) == peak(steps[i]));
  }
  PlanOptions options = asked;
  CHECK_FALSE(lower_floor(options, peak(steps[3]) - 1));
  CHECK(peak(options) == peak(asked));
  options.accumulate = 2;  // its passes need the whole gradient
  CHECK(lower_floor(options, peak(options) - 1) == "--state 8bit");

  const TempDir dir;
  write_idx(dir / "data");
  Recipe recipe = small_recipe(dir / "data");
  recipe.model = "vit:image=8,patch=4,dim=40,depth=2,heads=2,channels=1";
  recipe.batch = 4;
  recipe.steps = 3;
  RunOptions run = in(dir / "run");
  PlanOptions planned = steps[2];
  planned.model = parse_model(recipe.model + ",classes=10");
  planned.threads = 1;
  planned.device = test_device();
  run.budget = peak(planned);
  Listener listener;
  const TrainOutcome outcome = train(recipe, run, listener);
  CHECK(said(listener.notes, "takes --update in-backward --state 8bit"));
  CHECK(nlohmann::json::parse(outcome.summary)["peak_bytes"] == run.budget);
  const Recipe stored = read_recipe(dir / "run");
  CHECK(stored.update == "in-backward");
  CHECK(stored.state == "8bit");
  CHECK(stored.weights_as == "f32");
  run.resume = true;
  CHECK(message_of(stored, run, Fault::usage).find("--budget and --resume are both given") != std::string::npos);
  run.resume = false;
  run.overwrite = true;
  Recipe by_norm = recipe;
  by_norm.clip_by = "norm";
  CHECK(message_of(by_norm, run, Fault::usage).find("expected --clip-by previous or tensor") != std::string::npos);
  run.budget = 1000;
  CHECK(message_of(recipe, run, Fault::memory).find("--budget 0.0 MiB: a training step of 4 images under full needs") !=
        std::string::npos);
}

TEST_CASE("products in bf16 read weights of bf16 as they lie, with the bits of the same weights in f32") {
  struct Side {
    Device device{make_backend(test_device(), 2, Precision::bf16), small_step};
    Vit model;
    std::unique_ptr<MemoryPolicy> policy = make_policy("full");
    std::unique_ptr<Optimizer> optimizer;
    TrainStep step;
    explicit Side(WeightsAs as)
        : model(device, config, 1, {Values::drawn, as}),
          optimizer(make_optimizer(device, model.parameters(), {.name = "sgd"})),
          step(device, model.parameters(), std::ref(model), *policy, *optimizer, {.input = {1, 8, 8}}) {}
  };
  for (const WeightsAs as : {WeightsAs::bf16, WeightsAs::split}) {
    Side asleep(as), awake(WeightsAs::f32);
    int read_as_they_lie = 0;
    for (Param& p : awake.model.parameters()) {
      const Param& other = *asleep.model.parameters().find(p.name);
      read_as_they_lie += other.value.dtype() == DType::bf16;
      assign(awake.device, p, read_values(asleep.device, other));
    }
    CHECK(read_as_they_lie == 6);
    const StepResult one = asleep.step(0, 0.f, batch_of(0)), same = awake.step(0, 0.f, batch_of(0));
    if (as == WeightsAs::bf16) CHECK(one.loss == same.loss);
    CHECK(one.loss == doctest::Approx(same.loss).epsilon(1e-4));  // where the 24 bits lie on a tie of bf16
    for (const Param& p : awake.model.parameters()) {
      const auto a = awake.device.download(p.grad),
                 b = asleep.device.download(asleep.model.parameters().find(p.name)->grad);
      if (as == WeightsAs::bf16) CHECK(a == b);
    }
  }
}
