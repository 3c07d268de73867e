// LoRA: two small matrices beside a weight that stays, under every policy.
#include <doctest/doctest.h>

#include <algorithm>

#include "backend.h"
#include "errors.h"
#include "shear/models/vit.h"
#include "shear/policies.h"
#include "shear/train.h"
#include "temp_dir.h"
#include "vit_run.h"

using namespace shear;
using namespace shear::test;

namespace {

VitConfig small(bool layer_scale = false) {
  VitConfig c{.image = 8, .patch = 4, .dim = 32, .depth = 2, .heads = 2, .classes = 3, .channels = 1};
  c.layer_scale = layer_scale;
  return c;
}
const Lora rank3{3, 6, "blocks.*"};

// A model whose matrices are all stirred, B too, and the gradients of a step.
struct Adapted {
  Device device{test_backend(2), small_step};
  Vit model;
  std::unique_ptr<MemoryPolicy> policy;
  Tape tape;

  Adapted(const VitConfig& config, const std::string& spec, const Lora& lora, const char* train = "all")
      : model(device, config, 1, {Values::drawn, WeightsAs::f32, lora}),
        policy(make_policy(spec, 1)),
        tape(device, *policy, chosen(model.parameters(), train), {.seed = 1}) {
    for (const Param& p : model.parameters()) {
      Stream stream(3, Purpose::test, p.name.size(), static_cast<uint64_t>(p.block + 1));
      std::vector<float> values = read_values(device, p);
      for (float& v : values) v += 0.2f * stream.normal();
      assign(device, p, values);
    }
  }
  void step(int64_t at) {
    const VitConfig& c = model.config();
    std::vector<float> pixels(static_cast<size_t>(4 * c.image * c.image));
    Stream stream(5, Purpose::test);
    for (float& v : pixels) v = stream.normal();
    const Tensor images = device.upload({4, 1, c.image, c.image}, Category::workspace, pixels);
    const Tensor labels = device.empty({4}, Category::workspace, DType::i32);
    const std::vector<int32_t> classes{0, 1, 2, 1};
    device.run().upload(labels.data<void>(), classes.data(), labels.bytes());
    tape.begin_step(at);
    const Tensor logits = model(tape, images, {5, at});
    outputs = device.download(logits);
    tape.backward(cross_entropy(tape, "loss", logits, labels, 0.1f));
  }
  std::vector<float> gradient(const std::string& name) { return device.download(model.parameters().find(name)->grad); }
  std::vector<float> values(const std::string& name) { return read_values(device, *model.parameters().find(name)); }

  std::vector<float> outputs;

 private:
  static Parameters& chosen(Parameters& parameters, const char* train) {
    choose_trainable(parameters, train);
    parameters.make_gradients();
    return parameters;
  }
};

// (n, k) x (k, m), either of them transposed.
std::vector<float> product(const std::vector<float>& a, bool a_turned, const std::vector<float>& b, bool b_turned,
                           size_t n, size_t k, size_t m, double scale) {
  std::vector<float> out(n * m);
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < m; ++j) {
      double sum = 0;
      for (size_t l = 0; l < k; ++l)
        sum += static_cast<double>(a[a_turned ? l * n + i : i * k + l]) *
               static_cast<double>(b[b_turned ? j * k + l : l * m + j]);
      out[i * m + j] = static_cast<float>(scale * sum);
    }
  return out;
}

}  // namespace

TEST_CASE("LoRA computes what the weight with its product added computes, and has that weight's gradient in parts") {
  for (const bool layer_scale : {false, true}) {
    CAPTURE(layer_scale);
    Adapted lora(small(layer_scale), "full", rank3), merged(small(layer_scale), "full", {});
    const TempDir dir;
    save_weights(dir / "model.safetensors", lora.model.parameters(), {});
    const SafeTensors file(dir / "model.safetensors");
    CHECK(file.tensors().size() == merged.model.parameters().size());
    for (const Param& p : merged.model.parameters()) assign(merged.device, p, read_floats(file, *file.find(p.name)));
    lora.step(0);
    merged.step(0);
    CHECK(relative_error(lora.outputs, merged.outputs) < 1e-5);
    REQUIRE(lora.model.parameters().low_rank().size() == 8);
    for (const LowRank& l : lora.model.parameters().low_rank()) {
      CAPTURE(l.weight->name);
      CHECK(l.scale == 2);
      const auto out = static_cast<size_t>(l.weight->value.rows()), in = static_cast<size_t>(l.weight->value.cols());
      const std::vector<float> whole = merged.gradient(l.weight->name);
      // y = s B A x: dA = s B' dW, dB = s dW A'
      CHECK(relative_error(lora.gradient(l.a->name),
                           product(lora.values(l.b->name), true, whole, false, 3, out, in, 2)) < 1e-4);
      CHECK(relative_error(lora.gradient(l.b->name),
                           product(whole, false, lora.values(l.a->name), true, out, in, 3, 2)) < 1e-4);
      CHECK_FALSE(l.weight->trainable);
      CHECK_FALSE(l.weight->grad);
    }
    for (const char* head : {"head.weight", "head.bias"})
      CHECK(relative_error(lora.gradient(head), merged.gradient(head)) < 1e-4);
  }
}

TEST_CASE(
    "with LoRA its matrices and the head train, or what is named beside them, and every kind of policy takes it") {
  const auto trained = [](const char* train, const Lora& lora) {
    Adapted run(small(), "full", lora, train);
    std::string names;
    for (const Param& p : run.model.parameters())
      if (p.trainable) names += p.name + ' ';
    return names;
  };
  const Lora one{2, 2, "blocks.1.attn.qkv"};
  CHECK(trained("all", one) ==
        "blocks.1.attn.qkv.lora_a.weight blocks.1.attn.qkv.lora_b.weight head.weight head.bias ");
  CHECK(trained("norm", one) ==
        "blocks.1.attn.qkv.lora_a.weight blocks.1.attn.qkv.lora_b.weight norm.weight norm.bias ");
  CHECK(sentence(Fault::usage, [&] {
          trained("all", {2, 2, "blocks.7"});
        }).find("no linear that blocks.7 names") != std::string::npos);
  CHECK(sentence(Fault::usage, [&] {
          trained("all", {33, 2, "blocks.*"});
        }).find("expected a rank of at most 32") != std::string::npos);

  Adapted full(small(), "full", rank3);
  full.step(0);
  for (const char* spec : {"lean", "checkpoint"}) {
    CAPTURE(spec);
    Adapted exact(small(), spec, rank3);
    exact.step(0);
    for (const Param& p : exact.model.parameters())
      if (p.trainable) CHECK(exact.gradient(p.name) == full.gradient(p.name));
  }
}

TEST_CASE("no policy of columns leaves out any of LoRA's, and no bandit learns of them") {
  Adapted full(small(), "full", rank3);
  full.step(0);
  for (const std::string spec :
       {"prebr++:gelu=16,norm=16,qkv=16", "prebr++", "prebr", "prebr-", "prebr:granularity=tensor"}) {
    CAPTURE(spec);
    Adapted pruned(small(), spec, rank3);
    pruned.step(0);
    int asked = 0;
    for (const SaveRow& row : pruned.tape.report())
      if (row.site.find("lora_") != std::string_view::npos && row.got != "held") {
        CHECK((row.got == "packed" || row.got == "shared"));
        ++asked;
      }
    CHECK(asked == 16);
    CHECK(pruned.policy->state().empty());
    if (spec.find("qkv=16") == spec.npos) continue;  // whose dX is not exact
    for (const LowRank& l : pruned.model.parameters().low_rank()) {
      CAPTURE(l.a->name);
      CHECK(relative_error(pruned.gradient(l.a->name), full.gradient(l.a->name)) < 0.1);
      CHECK(relative_error(pruned.gradient(l.b->name), full.gradient(l.b->name)) < 0.1);
    }
  }
}
