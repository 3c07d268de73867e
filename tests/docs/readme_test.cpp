// The README's example, as it stands there (tests/docs/readme_test.py compares), and what it must do.
#include <doctest/doctest.h>

#include <cmath>

// [readme
#include "shear/make_backend.h"
#include "shear/models/vit.h"
#include "shear/optim.h"
#include "shear/policies.h"

struct Result {
  float loss;
  shear::MemoryUse bytes;
};

Result train_one_step(const std::vector<float>& pixels, const std::vector<int32_t>& classes) {
  using namespace shear;
  Device device(make_backend(DeviceKind::cpu, /*threads=*/2));
  Vit model(device, parse_vit("vit:image=28,patch=7,dim=64,depth=2,heads=4,classes=10,channels=1"), /*seed=*/1);
  const auto optimizer = make_adamw(device, decay_groups(model.parameters(), /*weight_decay=*/0.05f));
  const auto policy = make_policy("lean");         // decides how activations sleep
  Tape tape(device, *policy, model.parameters());  // one tape serves every step

  const auto batch = static_cast<int64_t>(classes.size());
  const Tensor images = device.upload({batch, 1, 28, 28}, Category::workspace, pixels);
  const Tensor labels = device.upload({batch}, Category::workspace, classes);

  tape.begin_step(0);
  const Tensor loss = cross_entropy(tape, "loss", model(tape, images), labels);
  tape.backward(loss);  // fills Param::grad, newest op first
  const float scale = clip_scale(gradient_norm(model.parameters()), /*max_norm=*/1);
  optimizer->step(/*step=*/0, /*lr=*/1e-3f, scale);
  tape.reset();  // forgets the step, keeps its memory for the next
  return {device.download(loss)[0], device.peak()};
}
// readme]

TEST_CASE("the README's example takes a training step") {
  const Result result = train_one_step(std::vector<float>(4 * 28 * 28, 0.5f), {0, 1, 2, 3});
  CHECK(std::abs(result.loss - std::log(10.f)) < 0.5f);
  CHECK(result.bytes.saved > 0);
  CHECK(result.bytes.optimizer == 2 * result.bytes.parameters);
}
