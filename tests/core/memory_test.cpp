// Bytes: what a step keeps is what the formulas of the methods say, and what a plan says is what the meter counts.
#include <doctest/doctest.h>

#include <numeric>

#include "backend.h"
#include "shear/models/vit.h"
#include "shear/policies.h"

using namespace shear;
using namespace shear::test;

namespace {

struct Measured {
  MemoryUse use;
  size_t saved = 0;  // summed over the report
  size_t live_after = 0;
};

// One step of a ViT with a momentum buffer beside each parameter.
Measured step(std::unique_ptr<Backend> backend, const VitConfig& config, int64_t batch, std::string_view policy_name) {
  Device device(std::move(backend));
  Vit model(device, config, 1);
  model.parameters().make_gradients();
  std::vector<Tensor> momentum;
  for (const Param& p : model.parameters()) momentum.push_back(device.empty(p.value.shape(), Category::optimizer));
  Tensor images = device.empty({batch, config.channels, config.image, config.image}, Category::workspace);
  const Tensor labels = device.empty({batch}, Category::workspace, DType::i32);
  if (device.run().computes()) {
    device.run().fill(images, 0.5f);
    const std::vector<int32_t> zeros(static_cast<size_t>(batch));
    device.run().upload(labels.data<void>(), zeros.data(), labels.bytes());
  }
  const auto policy = make_policy(policy_name);
  Tape tape(device, *policy);
  tape.backward(cross_entropy(tape, "loss", model(tape, images), labels));
  Measured m;
  m.use = device.peak();
  for (const SaveRow& row : tape.report()) m.saved += row.saved_bytes;
  tape.reset();
  m.live_after = device.arena().live() - images.storage().bytes() - labels.storage().bytes();
  return m;
}

Measured plan(const VitConfig& config, int64_t batch, std::string_view policy) {
  return step(make_shape_backend(test_backend(2)), config, batch, policy);
}

size_t rounded(int64_t floats) { return aligned(static_cast<size_t>(floats) * 4); }

// What one block keeps, by the formulas: units of B * N * D values, the statistics of two norms, and the log-sum-exp.
size_t attention_bytes(const VitConfig& c, int64_t batch, bool lean) {
  const int64_t rows = batch * c.tokens(), unit = rows * c.dim;
  size_t bytes = rounded(unit) + 2 * rounded(rows);                    // the input of the norm, mean and 1/std
  bytes += rounded(3 * unit) + rounded(batch * c.heads * c.tokens());  // q, k, v and the log-sum-exp
  if (!lean) bytes += rounded(unit);                                   // the input of qkv
  return bytes;
}
// Behind attention: of all rows, or in the last block of the class tokens.
size_t rest_bytes(const VitConfig& c, int64_t rows, bool lean) {
  const int64_t unit = rows * c.dim, wide = unit * c.mlp;
  size_t bytes = rounded(unit);                       // the input of the projection
  bytes += rounded(unit) + 2 * rounded(rows);         // that of the norm, mean and 1/std
  bytes += rounded(wide);                             // the input of GELU
  if (!lean) bytes += rounded(unit) + rounded(wide);  // the inputs of fc1 and fc2
  return bytes;
}

// The images, and all blocks but for what lies behind the last attention.
size_t body_bytes(const VitConfig& c, int64_t batch, bool lean) {
  return rounded(batch * c.channels * c.image * c.image) +
         static_cast<size_t>(c.depth) * attention_bytes(c, batch, lean) +
         static_cast<size_t>(c.depth - 1) * rest_bytes(c, batch * c.tokens(), lean);
}

size_t saved_bytes(const VitConfig& c, int64_t batch, bool lean) {
  size_t bytes = body_bytes(c, batch, lean) + rest_bytes(c, batch, lean);
  bytes += (lean ? 1 : 2) * rounded(batch * c.dim) + 2 * rounded(batch);  // the final norm, and the input of the head
  bytes += rounded(batch * c.classes) + rounded(batch);                   // logits and labels
  return bytes;
}

const VitConfig vit_base{};

}  // namespace

TEST_CASE(
    "full keeps exactly what the method lists for ViT-B/16 at batch 128, with the log-sum-exp for the N x N matrix") {
  const Measured full = plan(vit_base, 128, "full");
  CHECK(full.saved == saved_bytes(vit_base, 128, false));
  // The peak stands where the last attention's backward begins: what lies behind it has given its bytes back.
  CHECK(full.use.saved == body_bytes(vit_base, 128, false));
  CHECK(full.use.parameters == full.use.optimizer);
  CHECK(full.live_after == 0);
}

TEST_CASE("lean needs at most 0.60 of the paper's full fine-tuning for ViT-B/16 at batch 128") {
  const Measured lean = plan(vit_base, 128, "lean");
  CHECK(lean.saved == saved_bytes(vit_base, 128, true));
  const double mib = static_cast<double>(lean.use.peak) / 1048576;
  CHECK(mib <= 0.60 * 17970);
  CHECK(mib > 0.50 * 17970);  // a plan that forgets something would look too good
}

TEST_CASE("a plan's bytes are the meter's after a real step") {
  const VitConfig tiny{.image = 28, .patch = 4, .dim = 24, .depth = 2, .heads = 3, .classes = 10, .channels = 1};
  const VitConfig odd{.image = 30, .patch = 5, .dim = 18, .depth = 3, .heads = 3, .classes = 7, .channels = 3};
  const VitConfig larger{.image = 32, .patch = 4, .dim = 64, .depth = 4, .heads = 4, .classes = 100, .channels = 3};
  for (const VitConfig& config : {tiny, odd, larger})
    for (int64_t batch : {1, 6})
      for (const char* policy : {"full", "lean"}) {
        CAPTURE(spec(config));
        CAPTURE(batch);
        CAPTURE(policy);
        const Measured real = step(test_backend(2), config, batch, policy), planned = plan(config, batch, policy);
        CHECK(real.use == planned.use);
        CHECK(real.saved == planned.saved);
        CHECK(real.saved == saved_bytes(config, batch, std::string_view(policy) == "lean"));
        CHECK(real.live_after == 0);
      }
}
