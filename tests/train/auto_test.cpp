// Policy auto: what is chosen for a budget, and that a run keeps to it.
#include <doctest/doctest.h>

#include <cmath>

#include "errors.h"
#include "run_fixture.h"
#include "shear/models/vit.h"
#include "shear/policies.h"
#include "train/code_errors.h"

using namespace shear;
using namespace shear::test;

namespace {

PlanOptions asked() {
  const VitConfig config{.image = 32, .patch = 4, .dim = 64, .depth = 3, .heads = 4, .classes = 10, .channels = 3};
  return {.model = model_spec(config), .batch = 8, .optimizer = {.name = "sgd"}};
}
// The relative error of block weights' gradients under the same codes in all blocks, as it is expected.
double usual_code_error(int bits, int qkv, int gelu, int group) {
  return std::sqrt(error_under(usual_errors(1)[0], {bits, qkv, gelu, group}));
}
size_t peak_under(const std::string& policy) {
  PlanOptions options = asked();
  options.policy = policy;
  return plan_training(options).use.peak;
}
std::optional<PolicyChoice> chosen(size_t budget) {
  PlanOptions options = asked();
  auto choice = choose_policy(options, budget);
  if (choice) CHECK(options.policy == choice->policy);
  return choice;
}

}  // namespace

TEST_CASE("auto takes what is exact where that fits, and else the codes of least error") {
  const size_t full = peak_under("full"), lean = peak_under("lean");
  REQUIRE(lean < full);
  CHECK(chosen(full)->policy == "full");
  CHECK(chosen(full - 1)->policy == "lean");
  CHECK(chosen(lean)->error == 0);
  CHECK(chosen(lean - 1)->policy.starts_with("codes:"));
  const size_t least = peak_under("codes:bits=2,group=256,qkv=2,gelu=2");
  double before = 0;
  for (size_t budget = lean - 1; budget > least; budget -= (lean - least) / 9) {
    CAPTURE(budget);
    const auto choice = chosen(budget);
    REQUIRE(choice);
    CAPTURE(choice->policy);
    CHECK(choice->lowered.empty());
    CHECK(choice->plan.use.peak <= budget);
    CHECK(choice->plan.use.peak == peak_under(choice->policy));
    CHECK(choice->error >= before);
    before = choice->error;
    // No spelling of codes that fits is expected to be better.
    for (const int bits : {2, 3, 4, 8})
      for (const int qkv : {3, 4, 8})
        for (const int gelu : {2, 3, 4, 8}) {
          const std::string other = text("codes:bits=", bits, ",group=64,qkv=", qkv, ",gelu=", gelu);
          if (usual_code_error(bits, qkv, gelu, 64) < 0.999 * choice->error) CHECK(peak_under(other) > budget);
        }
  }
}

TEST_CASE("what a spelling of codes leaves out is what the policy has by itself") {
  const CodeBits usual;
  CHECK(usual.spec() == "codes");
  CHECK(peak_under("codes") ==
        peak_under(text("codes:bits=", usual.bits, ",group=", usual.group, ",qkv=", usual.qkv, ",gelu=", usual.gelu)));
  CHECK(CodeBits{4, 4, 2, 64}.spec() == "codes:bits=4,gelu=2");
}

TEST_CASE("auto knows what a bit more costs of whatever a model keeps") {
  struct Kind {
    const char* name;
    void (*change)(VitConfig&);
  };
  for (const Kind& kind : {Kind{"gated", [](VitConfig& c) { c.swiglu = true; }},
                           Kind{"frequencies", [](VitConfig& c) { c.rope = Rope::mixed; }}}) {
    CAPTURE(std::string(kind.name));
    VitConfig config{.image = 32, .patch = 4, .dim = 64, .depth = 3, .heads = 4, .classes = 10, .channels = 3};
    kind.change(config);
    PlanOptions options{.model = model_spec(config), .batch = 8, .optimizer = {.name = "sgd"}};
    options.policy = "codes:bits=2,group=256,qkv=2,gelu=2";
    const size_t least = plan_training(options).use.peak;
    const auto choice = choose_policy(options, least);  // all of them at their shortest
    REQUIRE(choice);
    CHECK(choice->lowered.empty());
    CHECK(choice->plan.use.peak <= least);
  }
}

TEST_CASE(
    "where the shortest codes do not fit auto lowers the floor, and says so; where that does not do, nothing fits") {
  const size_t least = peak_under("codes:bits=2,group=256,qkv=2,gelu=2");
  const auto lowered = chosen(least - 1);
  REQUIRE(lowered);
  CHECK(lowered->lowered == "--update in-backward");
  CHECK(lowered->plan.use.peak < least);
  CHECK(lowered->error < usual_code_error(2, 2, 2, 256));  // there is room again
  PlanOptions options = asked();
  CHECK_FALSE(choose_policy(options, 1000));
  CHECK_NOTHROW(make_policy(options.policy));
}

TEST_CASE("a run under auto keeps what was chosen, and goes on to the same bits") {
  const TempDir dir;
  write_idx(dir / "data");
  Recipe recipe = small_recipe(dir / "data");
  recipe.policy = "codes";
  const auto whole_bytes = [&](const std::string& policy) {
    PlanOptions options{.model = parse_model(std::string(tiny_model) + ",classes=4"), .policy = policy, .batch = 16};
    options.threads = 1;  // as the run
    options.device = test_device();
    return plan_training(options).use.peak;
  };
  recipe.policy = "auto";
  CHECK(message_of(recipe, in(dir / "none"), Fault::usage).find("expected --budget") != std::string::npos);
  RunOptions run = in(dir / "run");
  run.budget = whole_bytes("codes");
  REQUIRE(run.budget < whole_bytes("lean"));
  Listener listener;
  train(recipe, run, listener);
  const Recipe kept = read_recipe(run.out);
  PlanOptions same{.model = parse_model(std::string(tiny_model) + ",classes=10"), .batch = 16};
  same.threads = 1;
  same.device = test_device();
  CHECK(kept.policy == choose_policy(same, run.budget)->policy);
  CHECK(kept.policy.starts_with("codes"));
  CHECK(whole_bytes(kept.policy) <= run.budget);
  CHECK(std::any_of(listener.notes.begin(), listener.notes.end(),
                    [&](const std::string& n) { return n.find("policy " + kept.policy) != std::string::npos; }));
  RunOptions stopped = in(dir / "stopped");
  stopped.budget = run.budget;
  stopped.stop_after = 13;
  CHECK(train_quietly(recipe, stopped).end == TrainEnd::interrupted);
  stopped.budget = 0, stopped.stop_after = 0, stopped.resume = true;
  CHECK(train_quietly(read_recipe(stopped.out), stopped).end == TrainEnd::finished);
  CHECK(contents(run.out / "model.safetensors") == contents(stopped.out / "model.safetensors"));
}
