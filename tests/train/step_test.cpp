// One training step: accumulation, its plan, its errors, and what it allocates.
#include <doctest/doctest.h>

#include <limits>

#include "allocation_counter.h"
#include "backend.h"
#include "shear/models/vit.h"
#include "shear/train.h"

using namespace shear;
using namespace shear::test;

namespace {

VitConfig model_of(int64_t dim, int64_t depth, int64_t heads) {
  return {.image = 16, .patch = 4, .dim = dim, .depth = depth, .heads = heads, .classes = 5, .channels = 3};
}

Batch random_batch(const VitConfig& c, int64_t count) {
  Batch batch;
  batch.count = count;
  Stream stream(7, Purpose::test);
  for (int64_t i = 0; i < count * c.channels * c.image * c.image; ++i) batch.images.push_back(stream.normal());
  for (int64_t i = 0; i < count; ++i)
    batch.labels.push_back(static_cast<int32_t>(stream.below(static_cast<uint32_t>(c.classes))));
  return batch;
}

// A model with all that a step needs.
struct Bench {
  Bench(const VitConfig& config, const std::string& policy_name, const OptimizerOptions& how, StepOptions options,
        Device::Options memory = {}, const std::string& train = "all")
      : device(test_backend(2), memory), model(device, config, 3), policy(make_policy(policy_name)) {
    choose_trainable(model.parameters(), train);
    optimizer = make_optimizer(device, model.parameters(), how);
    options.input = {config.channels, config.image, config.image};
    step = std::make_unique<TrainStep>(device, model.parameters(), std::ref(model), *policy, *optimizer, options);
  }
  Device device;
  Vit model;
  std::unique_ptr<MemoryPolicy> policy;
  std::unique_ptr<Optimizer> optimizer;
  std::unique_ptr<TrainStep> step;
};

// logits = (flattened images times w1 + b1) times w2 + b2, all zero; `unused` is nobody's input.
struct Plain {
  Plain(Device& device, bool with_unused) : parameters(device, 1) {
    b2 = &parameters.add("head.bias", {3}, Init::zeros, false);
    w2 = &parameters.add("head.weight", {3, 2}, Init::zeros, true);
    b1 = &parameters.add("first.bias", {2}, Init::zeros, false);
    w1 = &parameters.add("first.weight", {2, 4}, Init::zeros, true);
    if (with_unused) parameters.add("unused.weight", {2, 2}, Init::zeros, true);
  }
  Tensor operator()(Tape& tape, const Tensor& images, const ForwardContext&) {
    const Tensor hidden = linear(tape, "first", images.reshaped({images.shape()[0], 4}), *w1, b1);
    return linear(tape, "head", hidden, *w2, b2);
  }
  Parameters parameters;
  Param *w1, *b1, *w2, *b2;
};

}  // namespace

TEST_CASE("gradients accumulated over passes are those of the whole batch") {
  const VitConfig config = model_of(32, 2, 2);
  const Batch batch = random_batch(config, 8);
  const Device::Options slab{.step_bytes = 16 << 20};  // two at a time: neither may take half of a device's memory
  Bench whole(config, "full", {.name = "sgd"}, {}, slab),
      parts(config, "full", {.name = "sgd"}, {.accumulate = 4}, slab);
  const StepResult a = (*whole.step)(0, 0.1f, batch), b = (*parts.step)(0, 0.1f, batch);
  CHECK(b.loss == doctest::Approx(a.loss).epsilon(1e-6));
  CHECK(b.correct == a.correct);
  CHECK(b.gradient_norm == doctest::Approx(a.gradient_norm).epsilon(1e-5));
  auto other = parts.model.parameters().begin();
  for (const Param& p : whole.model.parameters()) {
    const Param& q = *other++;
    CAPTURE(p.name);
    const std::vector<float> x = whole.device.download(p.value), y = parts.device.download(q.value);
    float furthest = 0;
    for (size_t i = 0; i < x.size(); ++i) furthest = std::max(furthest, std::abs(x[i] - y[i]));
    CHECK(furthest < 1e-6f);
  }
  CHECK(parts.device.peak().peak < whole.device.peak().peak);
}

TEST_CASE("the plan's bytes are those of a real step") {
  struct Size {
    int64_t dim, depth, heads;
  };
  for (const Size& size : {Size{16, 1, 1}, Size{24, 3, 3}, Size{64, 2, 4}})
    for (int64_t batch : {4, 6})
      for (const std::string policy : {"full", "lean"})
        for (const std::string optimizer : {"sgd", "adamw"})
          for (const std::string train : {"all", "head"}) {
            CAPTURE(size.dim);
            CAPTURE(batch);
            CAPTURE(policy);
            CAPTURE(optimizer);
            CAPTURE(train);
            VitConfig model = model_of(size.dim, size.depth, size.heads);
            model.dropout = 0.1f;
            PlanOptions options{.model = model_spec(model),
                                .policy = policy,
                                .batch = batch,
                                .accumulate = batch / 2,
                                .optimizer = {.name = optimizer},
                                .train = train,
                                .device = test_device(),
                                .threads = 2};
            const Plan plan = plan_training(options);
            Bench bench(model, policy, options.optimizer, {.accumulate = batch / 2}, {.step_bytes = plan.step_bytes},
                        train);
            const Batch images = random_batch(model, batch);
            for (int64_t step = 0; step < 3; ++step) {
              bench.device.restart_peak();
              (*bench.step)(step, 1e-3f, images);
              CHECK(bench.device.peak() == plan.use);
            }
            CHECK(plan.use.peak >= plan.use.saved + plan.use.parameters + plan.use.gradients + plan.use.optimizer);
            CHECK((plan.use.saved > 0 || train == "head"));
            // An inference of as many images as a pass has fits in the same slab.
            Tape tape(bench.device);
            Tensor x = tape.empty({2, 3, 16, 16});
            bench.device.run().fill(x, 0.5f);
            CHECK_NOTHROW(bench.model(tape, x));
          }
}

TEST_CASE("the largest batch of a budget fits, and one image more does not") {
  PlanOptions options{.model = model_spec(model_of(32, 2, 2)), .policy = "lean", .device = test_device(), .threads = 2};
  constexpr size_t budget = 16 << 20;
  const int64_t largest = largest_batch(options, budget);
  REQUIRE(largest > 1);
  options.batch = largest;
  CHECK(plan_training(options).use.peak <= budget);
  options.batch = largest + 1;
  CHECK(plan_training(options).use.peak > budget);
  CHECK(largest_batch(options, 1000) == 0);
}

TEST_CASE("a steady-state step allocates nothing") {
  const VitConfig config = model_of(32, 2, 2);
  const Batch batch = random_batch(config, 8);
  for (const std::string policy : {"full", "lean"})
    for (const std::string optimizer : {"sgd", "adamw"}) {
      CAPTURE(policy);
      CAPTURE(optimizer);
      Bench bench(config, policy, {.name = optimizer}, {.accumulate = 2, .clip = 1, .seed = 4});
      for (int64_t step = 0; step < 3; ++step) (*bench.step)(step, 1e-3f, batch);
      const uint64_t slab = bench.device.arena().high_water();
      const test::AllocationCounter allocations;
      for (int64_t step = 3; step < 6; ++step) (*bench.step)(step, 1e-3f, batch);
      if (test_device() == DeviceKind::cpu) CHECK(allocations.count() == 0);  // a launch may allocate
      CHECK(bench.device.arena().high_water() == slab);
    }
}

TEST_CASE("a gradient that is not finite stops with the step and the first such parameter, and changes nothing") {
  Device device(test_backend(1));
  Plain model(device, false);
  const auto policy = make_policy("full");
  const auto optimizer = make_optimizer(device, model.parameters, {.name = "sgd"});
  TrainStep step(device, model.parameters, std::ref(model), *policy, *optimizer, {.input = {1, 2, 2}, .clip = 1});
  Batch batch;
  batch.count = 4;
  batch.labels = {0, 0, 0, 0};
  batch.images.assign(16, 1.f);
  step(0, 1e-3f, batch);
  // Logits, loss and the other gradients stay finite; the product 1e10 * 1e30 in the first weight's does not.
  device.run().fill(model.w1->value, 0);
  device.run().fill(View(model.w2->value).band(0, 1), 1e10f);
  batch.images.assign(16, 1e30f);
  const std::vector<float> head = device.download(model.w2->value);
  try {
    step(1, 1.f, batch);
    FAIL("nothing was thrown");
  } catch (const Error& e) {
    CHECK(e.fault() == Fault::input);
    const std::string sentence = e.what();
    CHECK(sentence.starts_with("step 2: "));
    CHECK(sentence.find("not finite is first.weight;") != std::string::npos);
  }
  for (float v : device.download(model.w1->value)) CHECK(v == 0);
  CHECK(device.download(model.w2->value) == head);
}

TEST_CASE("a loss that is not finite stops with the step") {
  const VitConfig config = model_of(16, 1, 1);
  Batch batch = random_batch(config, 2);
  batch.images[5] = std::numeric_limits<float>::quiet_NaN();
  Bench bench(config, "lean", {}, {});
  try {
    (*bench.step)(41, 1e-3f, batch);
    FAIL("nothing was thrown");
  } catch (const Error& e) {
    CHECK(e.fault() == Fault::input);
    CHECK(std::string(e.what()).starts_with("step 42: the loss is "));
    CHECK(std::string(e.what()).find("first parameter whose gradient is not finite is cls_token;") !=
          std::string::npos);
  }
}

TEST_CASE("a trainable parameter without a gradient is an error at the first step") {
  Device device(test_backend(1));
  Plain model(device, true);
  const auto policy = make_policy("full");
  const auto optimizer = make_optimizer(device, model.parameters, {.name = "sgd"});
  TrainStep step(device, model.parameters, std::ref(model), *policy, *optimizer, {.input = {1, 2, 2}});
  Batch batch;
  batch.count = 1;
  batch.labels = {2};
  batch.images.assign(4, 1.f);
  try {
    step(0, 1e-3f, batch);
    FAIL("nothing was thrown");
  } catch (const Error& e) {
    CHECK(e.fault() == Fault::internal);
    CHECK(std::string(e.what()).find("unused.weight is trainable but got no gradient") != std::string::npos);
  }
}

TEST_CASE("a rank counts what is higher, ties go to the lower index, and nan is last") {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(rank_of(std::vector<float>{1, 3, 2}, 1) == 0);
  CHECK(rank_of(std::vector<float>{1, 3, 2}, 0) == 2);
  CHECK(rank_of(std::vector<float>{2, 2, 2}, 0) == 0);
  CHECK(rank_of(std::vector<float>{2, 2, 2}, 2) == 2);
  CHECK(rank_of(std::vector<float>{nan, nan, nan}, 0) == 2);
}
