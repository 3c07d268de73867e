// Training on CUDA against training on the CPU, under every policy.
#include <doctest/doctest.h>

#include <cmath>

#include "shear/make_backend.h"
#include "shear/models/vit.h"
#include "shear/train.h"

using namespace shear;

namespace {

constexpr VitConfig small{
    .image = 16, .patch = 4, .dim = 32, .depth = 2, .heads = 2, .classes = 5, .channels = 3, .dropout = 0.1f};
constexpr int64_t images = 6;

Batch batch_of(int64_t step) {
  Batch batch;
  batch.count = images;
  Stream stream(7, Purpose::test, static_cast<uint64_t>(step));
  for (int64_t i = 0; i < images * small.channels * small.image * small.image; ++i)
    batch.images.push_back(stream.normal());
  for (int64_t i = 0; i < images; ++i) batch.labels.push_back(static_cast<int32_t>(i % small.classes));
  return batch;
}

struct Trained {
  std::vector<double> losses, norms;
};

Trained train_on(DeviceKind kind, Precision precision, const std::string& policy_name, const std::string& optimizer,
                 int64_t steps) {
  Device device(make_backend(kind, 1, precision));
  Vit model(device, small, 3);
  const auto policy = make_policy(policy_name, 1);
  const auto update = make_optimizer(device, model.parameters(), {.name = optimizer});
  TrainStep step(device, model.parameters(), std::ref(model), *policy, *update,
                 {.input = {small.channels, small.image, small.image}, .accumulate = 2, .smoothing = 0.1f, .clip = 1});
  Trained result;
  for (int64_t i = 0; i < steps; ++i) {
    const StepResult r = step(i, 0.01f, batch_of(i));
    result.losses.push_back(r.loss);
    result.norms.push_back(r.gradient_norm);
  }
  return result;
}

// Under a policy two steps show its gradients and what they do; an optimizer's state shows in later ones.
void compare(const std::string& policy, const std::string& optimizer, Precision precision, double tolerance,
             int64_t steps) {
  CAPTURE(policy);
  CAPTURE(optimizer);
  const Trained cpu = train_on(DeviceKind::cpu, precision, policy, optimizer, steps),
                cuda = train_on(DeviceKind::cuda, precision, policy, optimizer, steps);
  for (size_t i = 0; i < cpu.losses.size(); ++i) {
    CAPTURE(i);
    CHECK(std::fabs(cuda.losses[i] / cpu.losses[i] - 1) < tolerance);
    CHECK(std::fabs(cuda.norms[i] / cpu.norms[i] - 1) < 10 * tolerance);
  }
  CHECK(cuda.losses.back() != cuda.losses.front());
}

}  // namespace

TEST_CASE("CUDA: a ViT trained under any policy has the CPU's losses") {
  std::vector<std::string> policies{"full:attention=materialised", "prebr:granularity=tensor",
                                    "prebr:draw=bernoulli",        "prebr:frozen=skip",
                                    "prebr++:sample=0.5,qkv=4",    "tokens@blocks.*.mlp.*|prebr++@blocks.*|full"};
  for (const PolicyDoc& doc : policy_docs()) policies.emplace_back(doc.name);
  for (const std::string& policy : policies) compare(policy, "sgd", Precision::f32, 1e-4, 2);
}

TEST_CASE("CUDA: a ViT trained with AdamW has the CPU's losses") { compare("lean", "adamw", Precision::f32, 1e-4, 4); }

TEST_CASE("CUDA: a ViT trained in bf16 has the CPU's losses") { compare("full", "sgd", Precision::bf16, 1e-3, 4); }
