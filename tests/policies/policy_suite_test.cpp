// What every policy must keep to: exact where nothing is dropped, exact dX and db, no allocations, the same bits again.
#include <doctest/doctest.h>

#include <algorithm>

#include "allocation_counter.h"
#include "backend.h"
#include "gradcheck.h"
#include "policy_specs.h"
#include "vit_run.h"

using namespace shear;
using namespace shear::test;

namespace {

// 17 tokens; heads, images and widths that no vector divides.
const VitConfig small{.image = 20, .patch = 5, .dim = 21, .depth = 2, .heads = 3, .classes = 7, .channels = 3};
constexpr int64_t batch = 3;

bool draws(std::string_view policy) {
  return policy.find("prebr") == 0 ? policy[5] != '-' : policy.starts_with("tok") || policy.starts_with("codes");
}

std::unique_ptr<VitRun> vit(std::string_view policy, const VitConfig& config = small, uint64_t seed = 1) {
  return std::make_unique<VitRun>(test_backend(2), config, batch, policy, seed);
}

// The worst relative error of a parameter's gradient against full's.
double worst_error(std::string_view policy) {
  const auto expected = vit("full")->gradients_of(0), found = vit(policy)->gradients_of(0);
  double worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double error = relative_error(found[i], expected[i]);
    worst = error <= worst ? worst : error;  // nan wins, and stays
  }
  return worst;
}

}  // namespace

TEST_CASE("every documented policy is under these tests") {
  const std::vector<std::string> all = every_policy();
  for (const PolicyDoc& doc : policy_docs()) {
    CAPTURE(doc.name);
    CHECK(std::count(all.begin(), all.end(), doc.name) == 1);
  }
}

TEST_CASE("a policy that drops nothing gives full's gradients: to the bit where exact, to f16 where values are short") {
  for (const std::string& policy : exact) {
    CAPTURE(policy);
    CHECK(vit(policy)->gradients_of(0) == vit("full")->gradients_of(0));
  }
  CHECK(worst_error("full:attention=materialised") <= 1e-5);
  for (const std::string& policy : whole) {
    CAPTURE(policy);
    const double error = worst_error(policy);
    CHECK(error <= 1e-3);
    CHECK(error > 0);  // something was in f16
  }
}

TEST_CASE("what is dropped shows in the gradients: no pruning policy is exact by accident") {
  for (const std::string& policy : lossy) {
    CAPTURE(policy);
    const double error = worst_error(policy);
    CHECK(error > 0.02);
    CHECK(error < 30);
  }
}

TEST_CASE("a linear's dX and db have the dense bits under every policy, whatever is left of X") {
  struct Found {
    std::vector<float> dx, dw, db;
    std::string got;
  };
  // Two weights of a shape, so that a draw of tensors leaves one out.
  const auto run = [](const std::string& spec, int64_t step) {
    Device device(test_backend(2));
    const auto policy = make_policy(spec, 1);
    Param w = make_param(device, "blocks.0.mlp.fc1.weight", normal({13, 31}, 2)),
          other = make_param(device, "blocks.1.mlp.fc1.weight", normal({13, 31}, 2)),
          b = make_param(device, "blocks.0.mlp.fc1.bias", normal({13}, 3));
    Tape tape(device, *policy, {&w, &other, &b}, {.seed = 1});
    tape.begin_step(step);
    const Tape::InBlock block(tape, 0);
    Tensor x = upload(device, normal({3, 11, 31}, 1));
    const Tensor up = upload(device, normal({3, 11, 13}, 4));
    tape.watch(x);
    tape.backward(weighted_sum(tape, linear(tape, "blocks.0.mlp.fc1", x, w, &b), up));
    return Found{device.download(tape.grad(x)), device.download(w.grad), device.download(b.grad),
                 std::string(tape.report()[0].got)};
  };
  const Found dense = run("full", 0);
  for (const std::string& spec : every_policy()) {
    CAPTURE(spec);
    const bool prunes = std::find(lossy.begin(), lossy.end(), spec) != lossy.end();
    int nothing_left = 0;
    for (int64_t step = 0; step < 16; step += 2) {
      const Found found = run(spec, step);
      CHECK(found.dx == dense.dx);
      CHECK(found.db == dense.db);
      CHECK((found.got != "dense") == prunes);
      CHECK((found.dw != dense.dw) == prunes);
      nothing_left += std::all_of(found.dw.begin(), found.dw.end(), [](float v) { return v == 0; });
    }
    if (spec.find("tensor") == std::string::npos) {
      CHECK(nothing_left == 0);
    } else {
      CHECK(nothing_left > 0);
      CHECK(nothing_left < 8);
    }
  }
}

TEST_CASE("checkpoint has full's bits with dropout, with what is frozen, and over passes that add up") {
  VitConfig dropping = small;
  dropping.dropout = 0.2f;
  for (const VitConfig& config : {small, dropping})
    for (const auto trained :
         {+[](const Param&) { return true; }, +[](const Param& p) { return p.name.starts_with("head."); },
          +[](const Param& p) { return p.name.ends_with(".bias"); },
          +[](const Param& p) { return p.name.starts_with("blocks.1.attn"); }})
      for (const int passes : {1, 3}) {
        CAPTURE(config.dropout);
        CAPTURE(passes);
        std::vector<std::vector<float>> found[2];
        for (const size_t i : {0u, 1u}) {
          VitRun run(test_backend(2), config, batch, i == 0 ? "full" : "checkpoint", 1, trained);
          run.step(3, passes);
          found[i] = run.gradients();
        }
        CHECK_FALSE(found[0].empty());
        CHECK(found[0] == found[1]);
      }
}

TEST_CASE("under checkpoint only the blocks' inputs wait for backward, and the rest is reported as made again") {
  const auto run = vit("checkpoint");
  run->begin(0);
  const Tensor loss = run->forward(0);
  const auto rounded = [](int64_t floats) { return aligned(static_cast<size_t>(floats) * 4); };
  const size_t unit = rounded(batch * small.tokens() * small.dim), held = rounded(batch);
  const size_t tail = rounded(batch * small.dim) + 2 * held + rounded(batch * small.classes) + held;
  CHECK(run->device.meter().live(Category::saved) ==
        run->images.storage().bytes() + static_cast<size_t>(small.depth) * unit + tail);
  const size_t asked_forward = run->tape.report().size();
  for (const SaveRow& row : run->tape.report()) {
    CHECK(row.why != "made again in backward");
    CHECK((row.op == "segment") == row.site.starts_with("blocks."));
  }
  run->tape.backward(loss);
  CHECK(run->device.meter().live(Category::saved) == 0);
  size_t again = 0;
  for (const SaveRow& row : run->tape.report().subspan(asked_forward)) {
    CHECK(row.site.starts_with("blocks."));
    if (row.got == "held") continue;
    ++again;
    CHECK(row.why == "made again in backward");
  }
  CHECK(again == static_cast<size_t>(small.depth) * 8);  // two norms, four linears, attention, GELU
}

TEST_CASE("under every policy the slab is empty after a step, and later steps allocate nothing, over periods too") {
  for (const std::string& policy : every_policy())
    for (const int threads : {1, 2}) {
      if (threads == 1 && test_device() != DeviceKind::cpu) continue;  // they are the host's
      CAPTURE(policy);
      CAPTURE(threads);
      VitRun run(test_backend(threads), small, batch, policy);
      for (int64_t step = 0; step < 4; ++step) {
        run.step(step);
        CHECK(run.device.arena().live() == run.input_bytes());
        CHECK(run.device.meter().live(Category::saved) == 0);
      }
      const size_t high = run.device.arena().high_water();
      const AllocationCounter counter;
      for (int64_t step = 4; step < 9; ++step) run.step(step);
      if (test_device() == DeviceKind::cpu) CHECK(counter.count() == 0);  // a launch may allocate
      // Which of the blocks keep their inputs moves the peak, where whole tensors are drawn.
      if (policy.find("tensor") == std::string::npos) CHECK(run.device.arena().high_water() == high);
      CHECK(run.device.arena().live() == run.input_bytes());
    }
}

TEST_CASE("a seed gives the same bits in every step, another seed others where something is drawn") {
  for (const std::string& policy : every_policy()) {
    CAPTURE(policy);
    const auto a = vit(policy), same = vit(policy), other = vit(policy, small, 2);
    for (int64_t step = 0; step < 3; ++step) {
      CAPTURE(step);
      const auto found = a->gradients_of(step);
      CHECK(found == same->gradients_of(step));
      CHECK((found != other->gradients_of(step)) == draws(policy));
    }
  }
}

TEST_CASE("a draw lasts its period, tokens are drawn in every step, and what is not drawn never changes") {
  const auto changes = [](const std::string& policy) {
    const auto run = vit(policy);
    std::string changed;
    auto last = run->gradients_of(0);
    for (int64_t step = 1; step < 6; ++step) {
      auto next = run->gradients_of(step);
      changed += next == last ? '.' : 'x';
      last = std::move(next);
    }
    return changed;
  };
  for (const char* policy : {"full", "checkpoint", "backrazor", "prebr-"}) CHECK(changes(policy) == ".....");
  for (const char* policy : {"prebr:period=2", "prebr++:period=2,groups=2"}) CHECK(changes(policy) == ".x.x.");
  for (const char* policy : {"tokens", "tokens@blocks.*.mlp.*|lean", "tokens@blocks.*.mlp.*|checkpoint", "codes"})
    CHECK(changes(policy) == "xxxxx");
}

TEST_CASE("a policy that is given another's state in mid-period goes on as that one does, to the bit") {
  for (const std::string policy :
       {"prebr++:period=3", "prebr:period=3,groups=2", "prebr:period=3,draw=bernoulli",
        "prebr:period=3,granularity=tensor,sample=0.5", "prebr++:period=3,normalise=0,rate=0.3",
        "prebr:period=3@blocks.*.mlp.*|prebr++:period=3,sample=0.5", "tokens@blocks.*.mlp.*|prebr:period=3"}) {
    CAPTURE(policy);
    VitConfig deep = small;  // of one drawn arm there is nothing to learn: two of each shape
    deep.depth = 4;
    const auto first = vit(policy, deep), resumed = vit(policy, deep), ignorant = vit(policy, deep);
    for (int64_t step = 0; step < 4; ++step) first->step(step);
    const std::vector<PolicyState> from = first->policy->state(), to = resumed->policy->state();
    REQUIRE(from.size() == to.size());
    REQUIRE_FALSE(from.empty());
    for (size_t i = 0; i < from.size(); ++i) {
      REQUIRE(from[i].name == to[i].name);
      REQUIRE(from[i].values.size() == to[i].values.size());
      std::copy(from[i].values.begin(), from[i].values.end(), to[i].values.begin());
    }
    bool same_without = true;
    for (int64_t step = 4; step < 9; ++step) {
      CAPTURE(step);
      const auto expected = first->gradients_of(step);
      CHECK(resumed->gradients_of(step) == expected);
      same_without = same_without && ignorant->gradients_of(step) == expected;
    }
    CHECK_FALSE(same_without);  // what was learnt counts
    const std::vector<PolicyState> a = first->policy->state(), b = resumed->policy->state();
    for (size_t i = 0; i < a.size(); ++i)
      CHECK(std::equal(a[i].values.begin(), a[i].values.end(), b[i].values.begin()));
  }
}

TEST_CASE("a part of a composition draws, learns and skips only among the parameters of its own sites") {
  const auto run = vit("prebr:frozen=skip,period=2@blocks.*.mlp.*|prebr:period=2");
  for (int64_t step = 0; step < 3; ++step) run->step(step);
  int skipping = 0;
  for (const Param& p : run->model.parameters()) {
    CAPTURE(p.name);
    const bool sampled = p.name.find(".mlp.") != std::string::npos && p.name.ends_with(".weight");
    CHECK(run->policy->active_columns({p.name, p.value.shape(), p.block}).empty() != sampled);
    skipping += sampled;
  }
  CHECK(skipping == 4);
  for (const PolicyState& s : run->policy->state()) {
    CAPTURE(s.name);
    CHECK(s.name.starts_with("0.") == (s.name.find(".mlp.") != std::string::npos));
  }
  // One weight of each shape lies in block 0: a draw among all would leave it out in half of the periods.
  const auto tensors = vit("prebr:granularity=tensor,sample=0.5,period=2@blocks.0.*|lean");
  for (int64_t step = 0; step < 16; step += 2) {
    tensors->step(step, 1, false);
    for (const SaveRow& row : tensors->tape.report())
      if (row.asked == "sample columns") CHECK(row.saved_bytes > 0);
    tensors->tape.reset();
  }
}
