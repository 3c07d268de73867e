// How long a step will take: which calls it makes, and what is known of calls like them.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "backend.h"
#include "errors.h"
#include "shear/kernel_watcher.h"
#include "shear/make_backend.h"
#include "shear/train.h"
#include "train/planned_step.h"

using namespace shear;
using namespace shear::test;

namespace {

struct Calls final : KernelWatcher {
  void begins(const KernelCall& call) override {
    ++open, ++told[text(call.kind, ' ', call.size[0], ' ', call.size[1], ' ', call.size[2])];
  }
  void ended(const KernelCall&) override { --open; }
  std::map<std::string, int> told;
  int open = 0;
};

PlanOptions tiny(const std::string& policy) {
  PlanOptions options;
  options.model = parse_model("vit:image=8,patch=4,dim=32,depth=3,heads=2,classes=4,channels=1");
  options.policy = policy;
  options.batch = 6;
  options.threads = 1;
  return options;
}

struct Stepper {
  Stepper(const PlanOptions& options, std::unique_ptr<Backend> backend)
      : device(std::move(backend)), planned(options, device, Values::drawn) {
    batch.count = options.batch;
    Stream draw(3, Purpose::test);
    for (int64_t i = 0; i < options.batch * options.model->input().elements(); ++i)
      batch.images.push_back(draw.normal());
    for (int32_t i = 0; i < options.batch; ++i) batch.labels.push_back(i % 4);
  }
  StepResult operator()() { return planned.step(next++, 0.01f, batch); }
  Parameters& parameters() { return planned.model->parameters(); }

  Device device;
  PlannedStep planned;
  Batch batch;
  int64_t next = 0;
};

}  // namespace

TEST_CASE("whoever watches a backend changes no bit, and sees of a plan the calls of a real step") {
  for (const PolicyDoc& doc : policy_docs()) {
    CAPTURE(doc.name);
    const PlanOptions options = tiny(std::string(doc.name));
    Calls real, planned;
    Stepper plain(options, make_cpu_backend(1)), watched(options, make_watched_backend(make_cpu_backend(1), real)),
        shape(options, make_watched_backend(make_planning_backend(DeviceKind::cpu, 1), planned));
    for (int i = 0; i < 3; ++i) {
      real.told.clear(), planned.told.clear();
      const double loss = plain().loss;
      CHECK(watched().loss == loss);
      shape();
      CHECK(real.told == planned.told);
      CHECK(real.open == 0);
    }
    CHECK(real.told.size() > 10);
    auto p = plain.parameters().begin();
    for (const Param& w : watched.parameters())
      CHECK(watched.device.download(w.value) == plain.device.download((*p++).value));
  }
}

TEST_CASE("a call takes what the nearest of its kind took, in proportion to the work") {
  KernelTimes times;
  times.add({"gelu F32 F32 ", {1000, 512, 1}}, 2);
  times.add({"gelu F32 F32 ", {8000, 512, 1}}, 20);
  times.add({"gemm 0F32 0F32 =F32 - ", {100, 64, 64}}, 1);
  times.add({"attention F32 ", {4, 100, 64}}, 3);
  CHECK(*times.of({"gelu F32 F32 ", {1000, 512, 1}}) == doctest::Approx(2));
  CHECK(*times.of({"gelu F32 F32 ", {2000, 512, 1}}) == doctest::Approx(4));
  CHECK(*times.of({"gelu F32 F32 ", {16000, 512, 1}}) == doctest::Approx(40));
  CHECK_FALSE(times.of({"gelu BF16 F32 ", {1000, 512, 1}}));
  // Of products two sides stay; adding to what is there is no other kind where nothing else is known.
  CHECK(*times.of({"gemm 0F32 0F32 =F32 - ", {400, 64, 64}}) == doctest::Approx(4));
  CHECK(*times.of({"gemm 0F32 0F32 +F32 - ", {400, 64, 64}}) == doctest::Approx(4));
  CHECK_FALSE(times.of({"gemm 1F32 0F32 =F32 - ", {400, 64, 64}}));
  CHECK_FALSE(times.of({"gemm 0F32 0F32 =F32 - ", {100, 256, 256}}));
  // Heads grow in number, tokens and widths do not.
  CHECK(*times.of({"attention F32 ", {8, 100, 64}}) == doctest::Approx(6));
  CHECK_FALSE(times.of({"attention F32 ", {4, 1000, 64}}));
  CHECK_FALSE(times.of({"attention F32 ", {4, 100, 32}}));
  // What is measured again stands in place of what was.
  times.add({"gelu F32 F32 ", {1000, 512, 1}}, 1);
  CHECK(*times.of({"gelu F32 F32 ", {1000, 512, 1}}) == doctest::Approx(1));

  const KernelTimes again = KernelTimes::from_json(times.to_json());
  CHECK(again.kinds() == times.kinds());
  CHECK(again.to_json() == times.to_json());
  for (const char* broken :
       {"", "[", "3", "{\"gelu\": 3}", "{\"gelu\": [[1, 2]]}", "{\"gelu\": [[1, 2, 3, \"x\"]]}",
        "{\"gelu\": [[1, -2, 3, 4]]}", "{\"gelu\": [[1, 2, 3, -4]]}", "{\"gelu\": [[1, 2, 3, 1e300]]}",
        "{\"gelu\": [[1e300, 2, 3, 4]]}", "{\"gelu\": [[1.5, 2, 3, 4]]}"})
    CHECK_MESSAGE(sentence(Fault::input, [&] { KernelTimes::from_json(broken); }).starts_with("times of kernels"),
                  broken);
}

TEST_CASE("a step's time is measured once, and then known for other batches and passes") {
  KernelTimes times;
  int measured = 0;
  const auto seconds = [&](const PlanOptions& options) {
    const auto found = step_seconds(options, times, [&] { ++measured; });
    REQUIRE(found);
    return *found;
  };
  PlanOptions options = tiny("lean");
  options.batch = 64;
  const double one = seconds(options);
  CHECK(measured == 1);
  CHECK(seconds(options) == one);
  options.batch = 256;
  const double four = seconds(options);
  CHECK(four > 2 * one);
  CHECK(four < 6 * one);
  options.batch = 64 * 4, options.accumulate = 4;
  const double passes = seconds(options);
  CHECK(passes > 2 * one);
  CHECK(passes < 5 * one);
  CHECK(measured == 1);
  // What it is said to take is what it takes, but for what else the machine does.
  options = tiny("lean");
  options.batch = 64;
  Stepper real(options, make_cpu_backend(1));
  std::vector<double> took;
  for (int i = 0; i < 30; ++i) {
    const auto began = std::chrono::steady_clock::now();
    real();
    took.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  }
  std::sort(took.begin(), took.end());
  CHECK(one > took[5] / 3);
  CHECK(one < took[25] * 3);
  // A policy with kernels of its own is measured too, one without is not.
  options.policy = "codes";
  seconds(options);
  CHECK(measured == 2);
  options.policy = "prebr";  // which looks at norms every so many steps
  seconds(options);
  CHECK(measured == 3);
  // What wakes a band at a time is that long, however much sleeps.
  options.policy = "codes";
  options.batch = 512;
  const double some = seconds(options);
  options.batch = 8192;
  CHECK(seconds(options) < 32 * some);
  options.batch = 64;
  options.policy = "codes:group=128";
  seconds(options);
  CHECK(measured == 3);
}

TEST_CASE("what is timed in place of a deep model has every kernel of it") {
  for (const char* kind : {"", ",kv-full=2,kv-heads=1", ",swiglu=1", ",rope=mixed"}) {
    CAPTURE(kind);
    KernelTimes times;
    PlanOptions options = tiny("codes");
    options.model = parse_model(std::string("vit:image=8,patch=4,dim=32,depth=7,heads=2,classes=4,channels=1") + kind);
    options.batch = 1000;
    CHECK(step_seconds(options, times));
    CHECK(options.model->shallow()->rows() < options.model->rows());
  }
  for (const std::string& name : known_models())
    if (const ModelSpecPtr shallow = parse_model(name)->shallow()) CHECK_NOTHROW(parse_model(shallow->str()));
}
