// Every kind of ViT under every policy: what the plain one keeps to, they do.
#include <doctest/doctest.h>

#include <algorithm>

#include "allocation_counter.h"
#include "backend.h"
#include "policy_specs.h"
#include "vit_run.h"

using namespace shear;
using namespace shear::test;

namespace {

constexpr int64_t batch = 3;

struct Kind {
  const char* name;
  void (*change)(VitConfig&);
};

constexpr Kind kinds[] = {
    {"DINOv2", [](VitConfig& c) { c.registers = 2, c.layer_scale = true, c.pool = Pool::token_and_mean; }},
    {"CLIP",
     [](VitConfig& c) {
       c.norm_before = true, c.patch_bias = false, c.gelu = GeluForm::quick, c.pool = Pool::mean;
       c.last_norm = LastNorm::none;
     }},
    {"SigLIP", [](VitConfig& c) { c.class_token = false, c.pool = Pool::attention, c.gelu = GeluForm::tanh; }},
    {"EVA-02",
     [](VitConfig& c) {
       c.rope = Rope::index, c.key_bias = false, c.swiglu = true, c.mlp_norm = true, c.pool = Pool::mean;
       c.last_norm = LastNorm::pooled;
     }},
    {"DINOv3",
     [](VitConfig& c) {
       c.rope = Rope::centred, c.key_bias = false, c.registers = 1, c.layer_scale = true;
       c.positions = Positions::none;
     }},
    {"AIMv2",
     [](VitConfig& c) {
       c.class_token = false, c.pool = Pool::mean, c.rms_norm = c.patch_norm = c.swiglu = true;
       c.qkv_bias = c.proj_bias = false;
     }},
    {"two heads", [](VitConfig& c) { c.registers = 1, c.pool = Pool::two_heads; }},
    {"norms behind", [](VitConfig& c) { c.norm_after = true; }},
    {"BEiT", [](VitConfig& c) { c.relative = Relative::blocks, c.positions = Positions::none, c.key_bias = false; }},
    {"shared distances", [](VitConfig& c) { c.relative = Relative::shared; }},
    {"differential", [](VitConfig& c) { c.differential = true; }},
    {"side by side", [](VitConfig& c) { c.parallel = c.layer_scale = true; }},
    {"differential, side by side", [](VitConfig& c) { c.differential = c.parallel = true; }},
    {"learned frequencies", [](VitConfig& c) { c.rope = Rope::mixed; }},
    {"Sapiens2", [](VitConfig& c) { c.rms_norm = c.qk_norm = true, c.kv_heads = 1, c.width = 30; }},
};

// An emulated device takes seconds for a policy: of each way to sleep one there.
std::vector<std::string> policies_here(std::vector<std::string> all) {
  if (test_device() == DeviceKind::cpu) return all;
  return {"checkpoint", "backrazor", "prebr++:sample=0.5,period=2", "tokens", "codes"};
}

bool among(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void check(const VitConfig& config, const std::string& policy, const std::vector<std::vector<float>>& full) {
  CAPTURE(policy);
  VitRun run(test_backend(2), config, batch, policy), same(test_backend(2), config, batch, policy),
      planned(make_shape_backend(test_backend(2)), config, batch, policy);
  const auto first = run.gradients_of(0);
  double worst = 0;
  for (size_t i = 0; const Param& p : run.model.parameters()) {
    const double error = relative_error(first[i], full[i]);
    worst = error <= worst ? worst : error;  // nan wins, and stays
    // The sums of a table of distances cancel: a row of dS adds up to nothing.
    if (!among(lossy, policy)) CHECK(error <= (p.name.ends_with("bias_table") ? 5e-3 : 2e-3));
    ++i;
  }
  if (among(exact, policy)) CHECK(first == full);
  if (among(lossy, policy)) CHECK((worst > 0.02 && worst < 100));
  // The bytes of a step, over steps, and nothing of it is left.
  planned.step(0);
  CHECK(run.device.peak() == planned.device.peak());
  CHECK(run.device.arena().live() == run.input_bytes());
  CHECK(same.gradients_of(0) == first);
  if (test_device() != DeviceKind::cpu) return;
  for (int64_t step = 1; step < 4; ++step) run.step(step), same.step(step);
  const AllocationCounter counter;
  for (int64_t step = 4; step < 7; ++step) run.step(step);
  CHECK(counter.count() == 0);
  for (int64_t step = 4; step < 7; ++step) same.step(step);
  CHECK(run.gradients() == same.gradients());
}

}  // namespace

TEST_CASE("kinds of ViT have full's gradients where nothing is lost, their plan's bytes and the same bits again") {
  std::vector<std::string> all = every_policy();
  all.insert(all.end(), whole.begin(), whole.end());
  all = policies_here(all);
  for (const Kind& kind : kinds) {
    CAPTURE(kind.name);
    VitConfig config{.image = 20, .patch = 5, .dim = 24, .depth = 2, .heads = 3, .classes = 7, .channels = 3};
    kind.change(config);
    const auto full = VitRun(test_backend(2), config, batch, "full").gradients_of(0);
    for (const std::string& policy : all) check(config, policy, full);
  }
}
