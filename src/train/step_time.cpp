// How long a training step will take: the sum of what its calls of kernels take, which planning lists.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <tuple>

#include "shear/kernel_watcher.h"
#include "shear/machine.h"
#include "shear/make_backend.h"
#include "train/median.h"
#include "train/planned_step.h"
#include "train/setup.h"

namespace shear {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

struct ByKindAndSize {
  bool operator()(const KernelCall& a, const KernelCall& b) const {
    return std::tie(a.kind, a.size) < std::tie(b.kind, b.size);
  }
};
template <class T>
using PerCall = std::map<KernelCall, T, ByKindAndSize>;

// What is not a kernel's: the tape, the policy, whatever lies between so many calls.
KernelCall between(double calls) { return {"between", {std::llround(calls), 1, 1}}; }

// -- Counting calls -------------------------------------------------------------------------------------------------

struct Counting final : KernelWatcher {
  void begins(const KernelCall& call) override { ++calls[call], ++all; }
  PerCall<double> calls;
  double all = 0;
};

// On the average of the steps: of one where the second makes the calls of the first, else of many.
Counting count_calls(const PlanOptions& options) {
  Counting counting;
  Device device(
      make_watched_backend(make_planning_backend(options.device, options.threads, options.precision), counting),
      {.memory_limit = most_planned_bytes, .step_bytes = most_planned_bytes});
  PlannedStep planned(options, device, Values::undefined);
  Batch batch;
  batch.count = options.batch;
  counting.calls.clear(), counting.all = 0;  // of making the model
  planned.step(0, 0, batch);
  const Counting first = counting;
  constexpr int many = 20;  // policies draw, or look at norms, every so many steps
  for (int step = 1; step < many; ++step) {
    planned.step(step, 0, batch);
    const auto twice = [](const auto& one, const auto& two) { return 2 * one.second == two.second; };
    if (step == 1 && counting.calls.size() == first.calls.size() &&
        std::equal(first.calls.begin(), first.calls.end(), counting.calls.begin(), twice))
      return first;
  }
  for (auto& [call, count] : counting.calls) count /= many;
  counting.all /= many;
  return counting;
}

std::optional<double> sum(const Counting& counted, const KernelTimes& times) {
  const auto rest = times.of(between(counted.all));
  if (!rest) return {};
  double seconds = *rest;
  for (const auto& [call, count] : counted.calls) {
    const auto each = times.of(call);
    if (!each) return {};
    seconds += *each * count;
  }
  return seconds;
}

// -- Timing them ----------------------------------------------------------------------------------------------------

struct TimedStep {
  Clock::time_point begin, end = Clock::now();  // of the last call
  Clock::time_point arrived;                    // before it was put together for us
  double gaps = 0, all = 0;                     // between calls; of the step
  std::vector<std::pair<KernelCall, double>> calls;
};

struct Timing final : KernelWatcher {
  bool watches() const override {
    if (step) step->arrived = Clock::now();
    return step != nullptr;
  }
  void begins(const KernelCall&) override {
    step->gaps += std::chrono::duration<double>(step->arrived - step->end).count();
    step->begin = Clock::now();
  }
  void ended(const KernelCall& call) override {
    const double took = seconds_since(step->begin);
    step->calls.emplace_back(call, took);
    step->end = Clock::now();
  }
  TimedStep* step = nullptr;
};

// Multiplications of all products of a step.
double products_of(const PlanOptions& options) {
  double products = 0;
  for (const auto& [call, count] : count_calls(options).calls)
    if (call.kind.starts_with("gemm ")) products += count * call.work();
  return products;
}

// Two blocks, and as many images as a moment is enough for.  Throws Fault::memory where that is much.
PlanOptions cut(PlanOptions options) {
  const bool by_name = options.train != "all" && options.train != "head";  // which a block less may not have
  if (!by_name && options.policy.find('@') == std::string::npos && options.lora.rank == 0)
    if (auto shallow = options.model->shallow()) options.model = std::move(shallow);
  const auto most_images = static_cast<double>(options.batch / options.accumulate);
  options.batch = options.accumulate = 1;
  const double products = products_of(options);
  constexpr double usual = 3e10, most = 1e12;  // a quarter of a second of a core, some ten seconds
  if (products > most)
    fail(Fault::memory, "a step of ", options.model->str(), " with one image has ", products,
         " multiplications, expected at most ", most);
  options.batch = static_cast<int64_t>(std::clamp(usual / products, 1., most_images));
  return options;
}

void require_room(const PlanOptions& options, const Plan& plan) {
  const MemoryLeft left = memory_left();
  if (plan.use.peak > left.bytes)
    fail(Fault::memory, "a step of ", options.model->str(), " with ", options.batch,
         options.batch == 1 ? " image" : " images", " needs ", mib(plan.use.peak), ", ", left.of, " has ",
         mib(left.bytes), " left");
}

// Steps one after the other, the first, which makes room, included.  Others use the machine too, in bursts: there are
// some steps about as fast as the fastest at the end, or it took too long; they stand behind the first.  Their end.
size_t time_steps(const PlanOptions& options, const Plan& plan, std::vector<TimedStep>& steps) {
  constexpr double least_seconds = 0.3, most_seconds = 3, about = 1.1;
  constexpr size_t enough = 3, many = 50;
  constexpr float rate = 1e-5f;
  Timing timing;
  Device device(make_watched_backend(make_backend(options.device, options.threads, options.precision), timing),
                {.step_bytes = plan.step_bytes});
  PlannedStep planned(options, device, Values::drawn);
  Batch batch;
  batch.count = options.batch;
  batch.images.resize(static_cast<size_t>(options.batch * options.model->input().elements()));
  Stream draw(0, Purpose::test);
  for (float& v : batch.images) v = draw.normal();
  batch.labels.assign(static_cast<size_t>(options.batch), 0);

  const auto begin = Clock::now();
  for (int64_t step = 0;; ++step) {
    TimedStep& timed = steps.emplace_back();
    timing.step = &timed;
    const auto started = Clock::now();
    planned.step(step, rate, batch);
    timed.gaps += seconds_since(timed.end);
    timed.all = seconds_since(started);
    if (step == 0) continue;
    const auto later = steps.begin() + 1;
    const double fastest =
        std::min_element(later, steps.end(), [](const auto& a, const auto& b) { return a.all < b.all; })->all;
    const auto end = std::partition(later, steps.end(), [&](const TimedStep& t) { return t.all <= about * fastest; });
    const double taken = seconds_since(begin);
    const bool some = end - later >= static_cast<std::ptrdiff_t>(enough);
    if ((some && (taken > least_seconds || steps.size() > many)) || taken > most_seconds)
      return static_cast<size_t>(end - steps.begin());
  }
}

void measure(const PlanOptions& asked, KernelTimes& times) {
  const PlanOptions options = cut(asked);
  const Plan plan = plan_training(options);
  require_room(options, plan);
  std::vector<TimedStep> steps;
  const size_t end = time_steps(options, plan, steps);
  PerCall<std::vector<double>> seconds;
  std::vector<double> gaps;
  for (size_t i = 1; i < end; ++i) {
    gaps.push_back(steps[i].gaps);
    for (const auto& [call, each] : steps[i].calls) seconds[call].push_back(each);
  }
  // What was known stays: what is told of one policy does not change with what is asked of the next.
  const auto add = [&](const KernelCall& call, double each) {
    if (!times.knows(call)) times.add(call, each);
  };
  add(between(static_cast<double>(steps[1].calls.size())), median(gaps));
  for (auto& [call, each] : seconds) add(call, median(each));
  for (const auto& [call, each] : steps[0].calls) add(call, each);  // what no other step did
}

}  // namespace

std::optional<double> step_seconds(const PlanOptions& options, KernelTimes& times,
                                   const std::function<void()>& measures) {
  if (options.device != DeviceKind::cpu) return {};
  // A pass more costs what it does beyond the first.
  PlanOptions one = options;
  one.batch = options.batch / options.accumulate, one.accumulate = 1;
  std::vector<Counting> counted{count_calls(one)};
  if (options.accumulate > 1) {
    one.batch *= 2, one.accumulate = 2;
    counted.push_back(count_calls(one));
  }
  for (const bool measured : {false, true}) {
    if (measured) {
      if (measures) measures();
      measure(options, times);
    }
    const auto first = sum(counted.front(), times), last = counted.size() > 1 ? sum(counted.back(), times) : first;
    if (first && last) return *first + static_cast<double>(options.accumulate - 1) * (*last - *first);
  }
  return {};
}

}  // namespace shear
