// Updates while backward goes on: the weights that updates after backward give, and what cannot be had there.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "allocation_counter.h"
#include "backend.h"
#include "errors.h"
#include "gradcheck.h"
#include "shear/models/vit.h"
#include "shear/optim.h"
#include "shear/policies.h"
#include "shear/train.h"

using namespace shear;
using namespace shear::test;

namespace {

const VitConfig config{
    .image = 8, .patch = 4, .dim = 40, .depth = 3, .heads = 2, .classes = 3, .channels = 1, .dropout = 0.2f};
constexpr int64_t images = 4;

Batch batch_of(int64_t step, int64_t count = images) {
  Batch batch;
  batch.count = count;
  Stream stream(5, Purpose::test, static_cast<uint64_t>(step));
  for (int64_t i = 0; i < count * 64; ++i) batch.images.push_back(stream.normal());
  for (int64_t i = 0; i < count; ++i) batch.labels.push_back(static_cast<int32_t>(i % 3));
  return batch;
}

struct Run {
  Device device{test_backend(2), small_step};
  Vit model{device, config, 1};
  std::unique_ptr<MemoryPolicy> policy;
  std::unique_ptr<Optimizer> optimizer;
  std::unique_ptr<TrainStep> step;

  Run(const std::string& spec, const OptimizerOptions& how, StepOptions options) : policy(make_policy(spec, 1)) {
    model.parameters().find("blocks.1.mlp.fc1.weight")->trainable = false;
    optimizer = make_optimizer(device, model.parameters(), how);
    options.input = {1, 8, 8};
    options.seed = 5;
    step = std::make_unique<TrainStep>(device, model.parameters(), std::ref(model), *policy, *optimizer, options);
  }
  StepResult operator()(int64_t at, int64_t count = images) {
    return (*step)(at, 0.1f / static_cast<float>(at + 1), batch_of(at, count));
  }
  // Weights, then the optimizer's state.
  std::vector<std::vector<float>> bits() {
    std::vector<std::vector<float>> all;
    for (const Param& p : model.parameters()) all.push_back(device.download(p.value));
    for (const StateTensor& s : optimizer->state())
      if (s.value.dtype() == DType::f32) all.push_back(device.download(s.value));
    return all;
  }
};

constexpr StepOptions in_backward{.update_in_backward = true};
StepOptions clipped(StepOptions options, float clip, std::optional<ClipBy> by = {}) {
  options.clip = clip;
  options.clip_by = by;
  return options;
}

double norm_of(const std::vector<float>& values) {
  double sum = 0;
  for (const float v : values) sum += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(sum);
}

}  // namespace

TEST_CASE("an update in backward gives the bits of one after backward in weights and state, from fewer bytes") {
  const auto check = [](const char* spec, const OptimizerOptions& how) {
    CAPTURE(spec);
    CAPTURE(how.name);
    Run after(spec, how, {}), during(spec, how, in_backward);
    for (int64_t step = 0; step < 3; ++step) {
      const StepResult a = after(step), b = during(step);
      CHECK(b.loss == a.loss);
      CHECK(b.correct == a.correct);
      CHECK(b.gradient_norm == doctest::Approx(a.gradient_norm).epsilon(1e-12));
    }
    CHECK(during.bits() == after.bits());
    CHECK(during.device.meter().peak() < after.device.meter().peak());
    CHECK(during.device.peak().gradients == 0);
  };
  for (const char* spec :
       {"full", "lean", "checkpoint", "checkpoint@blocks.1|lean", "prebr++:period=2", "prebr:period=1,frozen=skip",
        "prebr:granularity=tensor,sample=0.5,period=1,frozen=skip", "backrazor", "tokens"})
    check(spec, {.name = "sgd", .weight_decay = 0.1f});
  for (const StateAs state : {StateAs::f32, StateAs::codes})
    for (const char* spec : {"full", "prebr:period=1,frozen=skip", "tokens"})
      check(spec, {.name = "adamw", .weight_decay = 0.1f, .state = state});
}

TEST_CASE("clipped by the norm of the step before, a first step is clipped by its own, and its policy is asked once") {
  for (const char* spec : {"full", "prebr++:period=1", "prebr:period=2,groups=2", "tokens"}) {
    CAPTURE(spec);
    const OptimizerOptions how{.name = "sgd"};
    Run after(spec, how, clipped({}, 0.5f)), during(spec, how, clipped(in_backward, 0.5f));
    const double first = after(0).gradient_norm;
    CHECK(first > 0.6);  // it is clipped
    CHECK(during(0).gradient_norm == doctest::Approx(first).epsilon(1e-12));
    const auto a = after.bits(), b = during.bits();
    double worst = 0;
    for (size_t i = 0; i < a.size(); ++i)
      for (size_t k = 0; k < a[i].size(); ++k)
        worst = std::max(worst, std::fabs(static_cast<double>(a[i][k] - b[i][k])));
    CHECK(worst < 1e-6);
    REQUIRE(during.step->last_norm());
    CHECK(*during.step->last_norm() == doctest::Approx(first).epsilon(1e-12));

    // The second is scaled by what the first one's norm asks for: one that nothing clips, told to scale by hand.
    Run wide(spec, how, clipped(in_backward, 1e9f)), plain(spec, how, in_backward);
    for (int64_t step = 0; step < 4; ++step) {
      wide(step);
      plain(step);
    }
    CHECK(wide.bits() == plain.bits());  // the norm that was measured beforehand has left no trace
  }
}

TEST_CASE("a step that goes on from another's norm has the bits of one that was not interrupted") {
  const StepOptions options = clipped(in_backward, 0.5f);
  Run whole("lean", {.name = "adamw"}, options), first("lean", {.name = "adamw"}, options);
  for (int64_t step = 0; step < 2; ++step) {
    whole(step);
    first(step);
  }
  Run second("lean", {.name = "adamw"}, options);
  const auto copy = [&](const Tensor& from, const Tensor& to) {
    const std::vector<float> values = first.device.download(from);
    second.device.run().upload(to.data<void>(), values.data(), to.bytes());
  };
  auto to = second.model.parameters().begin();
  for (const Param& p : first.model.parameters()) copy(p.value, (to++)->value);
  const auto from_state = first.optimizer->state(), to_state = second.optimizer->state();
  for (size_t i = 0; i < from_state.size(); ++i) copy(from_state[i].value, to_state[i].value);
  second.step->set_last_norm(first.step->last_norm());
  whole(2);
  second(2);
  CHECK(second.bits() == whole.bits());
}

TEST_CASE("clipped by tensor, each parameter's gradient is held to the norm by itself") {
  const OptimizerOptions how{.name = "sgd", .momentum = 0};
  Run free("full", how, in_backward), held("full", how, clipped(in_backward, 0.01f, ClipBy::tensor));
  std::vector<std::vector<float>> before = free.bits();
  free(0);
  held(0);
  const auto a = free.bits(), b = held.bits();
  int above = 0, below = 0;
  for (size_t i = 0; i < free.model.parameters().size(); ++i) {
    CAPTURE(i);
    std::vector<float> moved_a, moved_b;
    for (size_t k = 0; k < a[i].size(); ++k) {
      moved_a.push_back((before[i][k] - a[i][k]) / 0.1f);
      moved_b.push_back((before[i][k] - b[i][k]) / 0.1f);
    }
    const double norm = norm_of(moved_a);
    ++(norm > 0.01 ? above : below);
    CHECK(norm_of(moved_b) == doctest::Approx(std::min(norm, 0.01)).epsilon(2e-3));
  }
  CHECK(above > 3);
  CHECK(below > 0);
  CHECK_FALSE(held.step->last_norm());
}

TEST_CASE("SGD takes the passes of a step one by one, and comes to the update by their sum") {
  const OptimizerOptions how{.name = "sgd", .momentum = 0.9f, .weight_decay = 0.1f};
  Run after("full", how, {.accumulate = 3}), during("full", how, {.accumulate = 3, .update_in_backward = true});
  for (int64_t step = 0; step < 3; ++step) {
    const double norm = after(step, 6).gradient_norm, bound = during(step, 6).gradient_norm;
    CHECK(bound >= norm);  // the sum of the passes' norms
    CHECK(bound < 3 * norm);
  }
  const auto a = after.bits(), b = during.bits();
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t k = 0; k < a[i].size(); ++k) worst = std::max(worst, std::fabs(static_cast<double>(a[i][k] - b[i][k])));
  CHECK(worst < 2e-6);
}

TEST_CASE("updates in backward refuse what cannot be had there, with what would be accepted") {
  const auto refused = [](const char* optimizer, const StepOptions& options) {
    return sentence(Fault::usage, [&] { Run("full", {.name = optimizer}, options); });
  };
  CHECK(refused("adamw", {.accumulate = 2, .update_in_backward = true}) ==
        "--update in-backward: adamw cannot take the 2 passes of a step one by one, expected --accumulate 1 or "
        "--optimizer "
        "sgd");
  CHECK(refused("sgd", {.accumulate = 2, .clip = 1, .update_in_backward = true}) ==
        "--update in-backward: of a step of 2 passes the norm is never known, expected --clip 0 or --accumulate 1");
  CHECK(refused("sgd", {.clip = 1, .update_in_backward = true, .clip_by = ClipBy::norm}) ==
        "--clip-by norm: updates in backward come before the norm of all gradients is known, expected previous or "
        "tensor");
  CHECK(refused("sgd", {.clip = 1, .clip_by = ClipBy::tensor}) ==
        "--clip-by: is for --update in-backward; after backward the norm of all gradients is known, expected norm");
}

TEST_CASE(
    "a gradient that is not finite ends the step at its parameter, which is as it was, and the step is half done") {
  Run run("full", {.name = "sgd"}, in_backward);
  run(0);
  CHECK_FALSE(run.step->half_done());
  // Pixels of 3e38 times weights of zero: all is finite but for the gradient of these, the last in backward.  What
  // arrives there is large, for the first norm divides by what is nearly zero.
  Parameters& parameters = run.model.parameters();
  for (const char* name : {"patch_embed.proj.weight", "patch_embed.proj.bias", "pos_embed", "cls_token"})
    run.device.run().fill(parameters.find(name)->value, 0);
  Batch batch = batch_of(1);
  for (float& pixel : batch.images) pixel = 3e38f;
  const auto before = run.bits();
  const std::string said = sentence(Fault::input, [&] { (*run.step)(1, 0.1f, batch); });
  CHECK(said.starts_with("step 2: the gradient of patch_embed.proj.weight is not finite; expected finite values"));
  CHECK(run.step->half_done());
  const auto after = run.bits();
  for (size_t i = 0; const Param& p : parameters) {
    CAPTURE(p.name);
    if (p.name == "patch_embed.proj.weight") CHECK(after[i] == before[i]);
    if (p.name == "head.weight") CHECK(after[i] != before[i]);
    ++i;
  }
}

TEST_CASE("a loss that is not finite stops a step before anything is updated") {
  Run run("full", {.name = "sgd"}, in_backward);
  const auto before = run.bits();
  Batch batch = batch_of(0);
  batch.images[3] = std::numeric_limits<float>::quiet_NaN();
  CHECK(sentence(Fault::input, [&] { (*run.step)(0, 0.1f, batch); }).starts_with("step 1: the loss is "));
  CHECK(run.bits() == before);
  CHECK_FALSE(run.step->half_done());
}

TEST_CASE("a step with updates in backward allocates nothing, and its plan's bytes are its own") {
  for (const char* optimizer : {"sgd", "adamw"})
    for (const char* spec : {"full", "checkpoint", "prebr++", "tokens"})
      for (const float clip : {0.f, 1.f}) {
        CAPTURE(optimizer);
        CAPTURE(spec);
        CAPTURE(clip);
        const Plan plan = plan_training({.model = model_spec(config),
                                         .policy = spec,
                                         .batch = images,
                                         .optimizer = {.name = optimizer},
                                         .update_in_backward = true,
                                         .device = test_device(),
                                         .threads = 2});
        Device device(test_backend(2), {.step_bytes = plan.step_bytes});
        Vit model(device, config, 1);
        const auto policy = make_policy(spec, 1);
        const auto update = make_optimizer(device, model.parameters(), {.name = optimizer});
        TrainStep step(device, model.parameters(), std::ref(model), *policy, *update,
                       {.input = {1, 8, 8}, .clip = clip, .update_in_backward = true});
        for (int64_t i = 0; i < 2; ++i) {
          device.restart_peak();
          step(i, 0.01f, batch_of(i));
          CHECK(device.peak() == plan.use);
        }
        const Batch batch = batch_of(2);
        const AllocationCounter allocations;
        for (int64_t i = 2; i < 5; ++i) step(i, 0.01f, batch);
        if (test_device() == DeviceKind::cpu) CHECK(allocations.count() == 0);  // a launch may allocate
      }
}
