// Updates while backward goes on: the weights that updates after backward give.
#include <doctest/doctest.h>

#include "backend.h"
#include "errors.h"
#include "gradcheck.h"
#include "shear/models/vit.h"
#include "shear/optim.h"
#include "shear/policies.h"

using namespace shear;
using namespace shear::test;

namespace {

const VitConfig config{
    .image = 8, .patch = 4, .dim = 12, .depth = 3, .heads = 2, .classes = 3, .channels = 1, .dropout = 0.2f};
constexpr SgdOptions options{.momentum = 0.9f, .nesterov = true};

struct Outcome {
  std::vector<std::vector<float>> weights, momentum;
  size_t peak;
};

Outcome trained(const std::string& spec, bool in_backward) {
  Device device(test_backend(2), small_step);
  Vit model(device, config, 1);
  Parameters& parameters = model.parameters();
  parameters.find("blocks.1.mlp.fc1.weight")->trainable = false;
  const auto policy = make_policy(spec, 1);
  std::unique_ptr<Optimizer> after;
  std::unique_ptr<SgdInBackward> during;
  if (in_backward)
    during = std::make_unique<SgdInBackward>(device, decay_groups(parameters, 0.1f), options);
  else
    after = make_sgd(device, decay_groups(parameters, 0.1f), options);
  Tape tape(device, *policy, parameters, {.seed = 1, .sink = during.get()});
  for (int64_t step = 0; step < 4; ++step) {
    const float lr = 0.1f / static_cast<float>(step + 1);
    if (during) during->set_lr(lr);
    tape.begin_step(step);
    const Tensor images = upload(device, normal({4, 1, 8, 8}, static_cast<uint32_t>(step))),
                 labels = upload_labels(device, std::vector<int32_t>{0, 2, 1, 2});
    tape.backward(cross_entropy(tape, "loss", model(tape, images, {5, step}), labels));
    if (after) after->step(step, lr, 1);
    tape.reset();
  }
  Outcome found;
  for (const Param& p : parameters) found.weights.push_back(device.download(p.value));
  for (const StateTensor& s : in_backward ? during->state() : after->state())
    found.momentum.push_back(device.download(s.value));
  found.peak = device.meter().peak();
  return found;
}

}  // namespace

TEST_CASE("SGD in backward gives the weights and momentum of SGD after backward to the last bit, from fewer bytes") {
  for (const char* spec :
       {"full", "lean", "checkpoint", "checkpoint@blocks.1|lean", "prebr++:period=2", "prebr:period=1,frozen=skip",
        "prebr:granularity=tensor,sample=0.5,period=1,frozen=skip", "backrazor", "tokens"}) {
    CAPTURE(spec);
    const Outcome after = trained(spec, false), during = trained(spec, true);
    CHECK(during.weights == after.weights);
    CHECK(during.momentum == after.momentum);
    CHECK(during.peak < after.peak);
  }
}

TEST_CASE("SGD in backward refuses a step of several passes") {
  Device device(test_backend(1), small_step);
  Vit model(device, config, 1);
  const auto policy = make_policy("full");
  SgdInBackward sgd(device, decay_groups(model.parameters(), 0));
  Tape tape(device, *policy, model.parameters(), {.sink = &sgd});
  CHECK(sentence(Fault::internal, [&] { tape.begin_step(0, 2); }) ==
        "sgd in backward: a step of 2 passes, expected one: the first would update already");
}
