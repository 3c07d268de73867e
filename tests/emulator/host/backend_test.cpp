// What only an emulated device can show of the CUDA backend: no device, no memory, bytes to the last, and streams.
#include <doctest/doctest.h>

#include "backends/cuda/errors.h"
#include "cuda_host.h"
#include "errors.h"
#include "shear/make_backend.h"
#include "shear/models/vit.h"
#include "shear/train.h"

using namespace shear;
using namespace shear::test;

namespace {

struct NoDevice {
  NoDevice() { cuemu::set_device_there(false); }
  ~NoDevice() { cuemu::set_device_there(true); }
};

struct MemoryLimit {
  explicit MemoryLimit(size_t bytes) : before(cuemu::memory().limit) { cuemu::set_memory_limit(bytes); }
  ~MemoryLimit() { cuemu::set_memory_limit(before); }
  size_t before;
};

const VitConfig small{.image = 16, .patch = 4, .dim = 32, .depth = 2, .heads = 2, .classes = 5, .channels = 3};

Batch batch_of(int64_t count) {
  Batch batch;
  batch.count = count;
  batch.images.assign(static_cast<size_t>(count * 3 * 16 * 16), 0.5f);
  for (int64_t i = 0; i < count; ++i) batch.labels.push_back(static_cast<int32_t>(i % 5));
  return batch;
}

std::vector<std::string> every_policy() {
  std::vector<std::string> names;
  for (const PolicyDoc& doc : policy_docs()) names.emplace_back(doc.name);
  return names;
}

}  // namespace

TEST_CASE("CUDA: without a device there is no backend, and a sentence says so; a plan needs none") {
  const NoDevice none;
  CHECK(sentence(Fault::device, [] {
          make_backend(DeviceKind::cuda, 1);
        }).starts_with("--device cuda: no CUDA device was found"));
  CHECK(plan_training({.model = model_spec(small), .batch = 4, .device = DeviceKind::cuda}).use.peak > 0);
}

TEST_CASE("CUDA: a call that fails is told with its op, and with the site that the op was at") {
  const auto call = [] { cuda::check(cudaErrorInvalidConfiguration, "cudaLaunchKernelEx", "layernorm"); };
  CHECK(sentence(Fault::internal, call).starts_with("layernorm: cudaLaunchKernelEx answered cudaErrorInvalid"));
  const At here("blocks.3.norm1");
  CHECK(sentence(Fault::internal, call).starts_with("layernorm at blocks.3.norm1: cudaLaunchKernelEx answered"));
}

TEST_CASE("CUDA: what the device has no memory for is refused with numbers, and leaves the device as it was") {
  const MemoryLimit limit(64 << 20);
  Device device(make_backend(DeviceKind::cuda, 1));
  const size_t live = cuemu::memory().live;
  const std::string s = sentence(Fault::memory, [&] { device.empty({1 << 20, 32}, Category::parameters); });
  CHECK(s.starts_with("out of memory: the device refused 134217728 bytes for parameters, of its 67108864 bytes"));
  CHECK(cuemu::memory().live == live);
  const Tensor x = device.upload({3}, Category::parameters, std::vector<float>{1, 2, 3});
  CHECK(device.download(x) == std::vector<float>{1, 2, 3});
}

TEST_CASE("CUDA: the plan of a step is the device's high-water mark, to the byte") {
  for (const std::string optimizer : {"sgd", "adamw"})
    for (const Precision precision : {Precision::f32, Precision::bf16})
      for (const std::string& policy : every_policy()) {
        CAPTURE(policy);
        CAPTURE(optimizer);
        const PlanOptions options{.model = model_spec(small),
                                  .policy = policy,
                                  .batch = 8,
                                  .optimizer = {.name = optimizer},
                                  .precision = precision,
                                  .device = DeviceKind::cuda};
        const Plan plan = plan_training(options);
        const size_t before = cuemu::memory().live;  // what other tests keep
        cuemu::restart_peak();
        {
          Device device(make_backend(DeviceKind::cuda, 1, precision), {.step_bytes = plan.step_bytes});
          Vit model(device, small, 3);
          const auto chosen = make_policy(policy);
          const auto update = make_optimizer(device, model.parameters(), options.optimizer);
          TrainStep step(device, model.parameters(), std::ref(model), *chosen, *update, {.input = {3, 16, 16}});
          for (int64_t i = 0; i < 3; ++i) step(i, 1e-3f, batch_of(8));
          CHECK(device.peak().peak == plan.use.peak);
        }
        CHECK(cuemu::memory().peak - before == plan.use.peak);
        CHECK(cuemu::memory().live == before);
      }
}

TEST_CASE("CUDA: bytes that were uploaded may change on the host at once, and many pass through the pinned memory") {
  Device device(make_backend(DeviceKind::cuda, 1));
  std::vector<float> values(11 << 20);  // more than the pinned memory holds
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const auto n = static_cast<int64_t>(values.size());
  const Tensor x = device.upload({n}, Category::parameters, values);
  const std::vector<float> before = values;
  values.assign(values.size(), -1.f);
  CHECK(device.download(x) == before);
}

TEST_CASE("CUDA: heads wider than the kernels' tiles are refused") {
  Device device(make_backend(DeviceKind::cuda, 1));
  const HeadGrid g{1, 2, 1, 129};
  const Tensor qkv = device.empty({2, 3 * 129}, Category::parameters);
  Tensor y = device.empty({2, 129}, Category::parameters);
  CHECK(sentence(Fault::usage, [&] { device.run().attention(g, qkv, {}, y, {}, {}, {}); }) ==
        "attention: heads of width 129, expected at most 128 on cuda");
}
