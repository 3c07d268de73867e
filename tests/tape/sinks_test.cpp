// Gradients on their way: complete once, when nothing more is added to them, wherever they lie.
#include <doctest/doctest.h>

#include <map>

#include "backend.h"
#include "errors.h"
#include "gradcheck.h"
#include "shear/models/vit.h"
#include "shear/op.h"
#include "shear/policies.h"

using namespace shear;
using namespace shear::test;

namespace {

const VitConfig config{
    .image = 8, .patch = 4, .dim = 12, .depth = 3, .heads = 2, .classes = 3, .channels = 1, .dropout = 0.2f};

// Notes each gradient when it is said to be complete.
class Noting final : public GradientsInStep {
 public:
  std::vector<std::string> order;
  std::map<std::string, std::vector<float>> values;

 private:
  void use(Device& device, Param& p, const Tensor& gradient) override {
    order.push_back(p.name);
    values[p.name] = device.download(gradient);
  }
};

struct Run {
  Run(const std::string& spec, GradientSink* sink)
      : device(test_backend(2), small_step),
        model(device, config, 1),
        policy(make_policy(spec, 1)),
        tape(device, *policy, model.parameters(), {.seed = 1, .sink = sink}) {}

  void step(int64_t number, int64_t passes = 1) {
    tape.begin_step(number, passes);
    for (int64_t i = 0; i < passes; ++i) {
      const Tensor images = upload(device, normal({4, 1, 8, 8}, 7)),
                   labels = upload_labels(device, std::vector<int32_t>{0, 2, 1, 2});
      tape.backward(cross_entropy(tape, "loss", model(tape, images, {5, number * passes + i}), labels));
      tape.reset();
    }
  }

  Device device;
  Vit model;
  std::unique_ptr<MemoryPolicy> policy;
  Tape tape;
};

// y = x w for tensors, twice as long as it need be: the parameter is used in two segments and outside of both.
struct Shared {
  Param* w;
  Tensor operator()(Tape& tape, Tensor x) const {
    return linear(tape, "shared", gelu(tape, "act", std::move(x)), *w, nullptr);
  }
};

}  // namespace

TEST_CASE("each parameter's gradient is complete once, with the bits that it has after backward") {
  for (const char* spec : {"full", "lean", "checkpoint", "checkpoint@blocks.1|lean", "codes:band=8",
                           "checkpoint:band=10", "prebr++:period=1", "tokens"}) {
    CAPTURE(spec);
    Run whole(spec, nullptr);
    Noting noting;
    Run noted(spec, &noting);
    for (const int64_t step : {0, 1}) {
      noting.order.clear();
      whole.step(step);
      noted.step(step);
      CHECK(noting.order.size() == whole.model.parameters().size());
      for (const Param& p : whole.model.parameters()) {
        CAPTURE(p.name);
        CHECK(std::count(noting.order.begin(), noting.order.end(), p.name) == 1);
        CHECK(noting.values[p.name] == whole.device.download(p.grad));
      }
      CHECK(noting.order.front().starts_with("head."));
    }
  }
}

TEST_CASE("gradients in the step's slab take no room beside it, and fewer bytes than all of them") {
  Noting noting;
  Run in_step("lean", &noting), whole("lean", nullptr);
  in_step.step(0);
  whole.step(0);
  for (const Param& p : in_step.model.parameters()) CHECK_FALSE(static_cast<bool>(p.grad));
  CHECK(in_step.device.peak().gradients == 0);
  CHECK(in_step.device.meter().live(Category::workspace) == 0);
  CHECK(in_step.device.meter().peak() < whole.device.meter().peak());
}

TEST_CASE("a parameter of several ops, in segments that are made again and outside, is complete after the last") {
  for (const char* spec : {"full", "checkpoint", "checkpoint@one|full"}) {
    CAPTURE(spec);
    Device device(test_backend(1), small_step);
    const auto policy = make_policy(spec);
    Param w = make_param(device, "w", normal({6, 6}, 1)), last = make_param(device, "last", normal({6, 6}, 2));
    Noting noting;
    Tape tape(device, *policy, {&w, &last}, {.sink = &noting});
    tape.begin_step(0);
    Tensor x = upload(device, normal({5, 6}, 3));
    const Tensor up = upload(device, normal({5, 6}, 4));
    Tensor h = linear(tape, "first", x, w, nullptr);
    h = tape.segment("one", std::move(h), Shared{&w});
    h = tape.segment("two", std::move(h), Shared{&w});
    tape.backward(weighted_sum(tape, linear(tape, "last", h, last, nullptr), up));
    CHECK(noting.order == std::vector<std::string>{"last", "w"});

    Device other(test_backend(1), small_step);
    const auto full = make_policy("full");
    Param own = make_param(other, "w", normal({6, 6}, 1)), end = make_param(other, "last", normal({6, 6}, 2));
    Tape plain(other, *full);
    Tensor g = linear(plain, "first", upload(other, normal({5, 6}, 3)), own, nullptr);
    for (int i = 0; i < 2; ++i) g = Shared{&own}(plain, std::move(g));
    plain.backward(weighted_sum(plain, linear(plain, "last", g, end, nullptr), upload(other, normal({5, 6}, 4))));
    CHECK(noting.values["w"] == other.download(own.grad));
    tape.reset();
  }
}

TEST_CASE("a segment that the loss does not depend on leaves what it shares complete all the same") {
  Device device(test_backend(1), small_step);
  const auto policy = make_policy("checkpoint");
  Param w = make_param(device, "w", normal({6, 6}, 1)), idle = make_param(device, "idle", normal({6, 6}, 2));
  Noting noting;
  Tape tape(device, *policy, {&w, &idle}, {.sink = &noting});
  tape.begin_step(0);
  const Tensor x = upload(device, normal({5, 6}, 3)), up = upload(device, normal({5, 6}, 4));
  const Tensor y = linear(tape, "first", x, w, nullptr);
  const Tensor aside = tape.segment("aside", linear(tape, "idle", x, idle, nullptr), Shared{&w});
  tape.backward(weighted_sum(tape, y, up));
  CHECK(noting.order == std::vector<std::string>{"w"});
}

TEST_CASE("the reading sink hands over the gradients of each pass") {
  std::map<std::string, std::vector<std::vector<float>>> seen;
  ReadGradients read([&](const Param& p, std::span<const float> g) { seen[p.name].emplace_back(g.begin(), g.end()); });
  Run reading("lean", &read), whole("lean", nullptr);
  reading.step(0, 2);
  whole.step(0, 2);
  for (const Param& p : whole.model.parameters()) {
    CAPTURE(p.name);
    const std::vector<float> sum = whole.device.download(p.grad);
    REQUIRE(seen[p.name].size() == 2);
    for (size_t i = 0; i < sum.size(); ++i)
      CHECK(seen[p.name][0][i] + seen[p.name][1][i] == doctest::Approx(sum[i]).epsilon(1e-4).scale(1e-2));
  }
}

TEST_CASE("a step that nobody began, and a pass too many, are refused before anything is computed") {
  Run run("prebr++", nullptr);
  const Tensor images = upload(run.device, normal({4, 1, 8, 8}, 7));
  const auto refused = [&] { return sentence(Fault::internal, [&] { run.model(run.tape, images); }); };
  CHECK(refused() == "patch_embed patch_embed.proj: no step has begun; expected begin_step before the first op");
  run.step(3, 2);
  CHECK(refused() == "patch_embed patch_embed.proj: step 3 had its 2 passes; expected begin_step before the next");
  run.step(4);
  CHECK(refused() == "patch_embed patch_embed.proj: step 4 had its 1 pass; expected begin_step before the next");
  CHECK(sentence(Fault::internal, [&] { run.tape.begin_step(-1); }) ==
        "tape: step -1 of 1 passes, expected one from 0 on, of 1 or more");
}

TEST_CASE("an op's gradient for a parameter that it did not name is refused once that one is complete") {
  struct Hidden {
    Slot x, y;
    Param* w;
    void operator()(Backward& bw) const {
      auto [dw, beta] = bw.sink(*w);
      bw.run().fill(dw, beta);
      bw.pass(y, x);
    }
  };
  Device device(test_backend(1), small_step);
  const auto policy = make_policy("full");
  Param w = make_param(device, "w", normal({6, 6}, 1));
  Tape tape(device, *policy, {&w});
  tape.begin_step(0);
  Tensor x = upload(device, normal({5, 6}, 3));
  tape.watch(x);
  Tensor y = tape.empty(x.shape());
  tape.run().copy(x, 0, y);
  tape.record(y, Hidden{x.slot, {}, &w});
  const Tensor loss = weighted_sum(tape, linear(tape, "fc", y, w, nullptr), upload(device, normal({5, 6}, 4)));
  CHECK(sentence(Fault::internal, [&] { tape.backward(loss); }) ==
        "backward: w gets a gradient from an op that did not name it when it began");
}
