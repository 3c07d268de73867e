// What a training step needs, found by running the real tape on a backend that computes nothing.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "shear/make_backend.h"
#include "train/planned_step.h"
#include "train/setup.h"

namespace shear {

namespace {

// What is planned at all.  Planning walks over a step's rows in bands, so that its time grows with them; within this it
// takes seconds, and beyond it nothing is trained on one machine.
constexpr int64_t most_rows = int64_t{1} << 30;       // of a pass: of all its images, in all layers
constexpr const char* most_bytes_written = "16 TiB";  // most_planned_bytes

int64_t most_images(const ModelSpec& model) {
  const auto most_batch = static_cast<int64_t>(recipe_range("batch").high);
  return std::clamp<int64_t>(most_rows / model.rows(), 1, most_batch);
}

// Of the passes of a step every one after the second asks for the same bytes at the same moments, under a policy that
// is not steady the most of many draws is looked for.
PlanOptions with_few_passes(PlanOptions options) {
  const int64_t enough = make_policy(options.policy)->steady() ? 2 : 32;
  if (options.accumulate <= enough) return options;
  options.batch = options.batch / options.accumulate * enough;
  options.accumulate = enough;
  return options;
}

Plan plan_step(const PlanOptions& options, Device& device) {
  PlannedStep planned(options, device, Values::undefined);
  TrainStep& step = planned.step;
  Plan plan;
  step.after_pass = [&](const Tape& tape) {
    plan.saves.clear();
    for (const SaveRow& row : tape.report())
      plan.saves.push_back({std::string(row.site), std::string(row.op), std::string(row.asked), std::string(row.got),
                            std::string(row.why), row.dense_bytes, row.saved_bytes});
  };
  Batch batch;
  batch.count = options.batch;
  step(0, 0, batch);
  size_t margin = 0;
  if (!planned.policy->steady()) {  // the most that some draws need, and room for those that were not looked at
    constexpr int64_t draws = 32, apart = 100003;
    for (int64_t i = 1; i < draws; ++i) step(i * apart, 0, batch);
    margin = aligned(device.peak().saved / 20);
  }
  plan.use = device.peak();
  plan.use.workspace += margin;
  plan.use.peak += margin;

  // An evaluation between the steps shares their slab.
  Tape inference(device);
  const Shape input = options.model->input();
  const Tensor images = inference.empty({options.batch / options.accumulate, input[0], input[1], input[2]});
  (*planned.model)(inference, images);
  plan.step_bytes = device.arena().high_water() + margin;
  return plan;
}

}  // namespace

Plan plan_training(const PlanOptions& asked) {
  const PlanOptions options = with_few_passes(asked);
  const int64_t images = options.batch / options.accumulate;
  if (images > most_images(*options.model))
    fail(Fault::memory, "a pass of ", images, " images of ", options.model->rows(),
         " rows in all layers needs more than a machine has, expected at most ", most_images(*options.model),
         " images; more passes (", setting("accumulate"), ") or a smaller ", setting("batch"), " are fewer");
  Device device(make_planning_backend(options.device, options.threads, options.precision),
                {.memory_limit = most_planned_bytes, .step_bytes = most_planned_bytes});
  try {
    return plan_step(options, device);
  } catch (const Error& error) {
    if (error.fault() != Fault::memory) throw;
    fail(Fault::memory, "a training step of ", asked.batch, " images under ", asked.policy, " needs more than ",
         most_bytes_written, ", which is the most that is planned");
  }
}

// The peak, or more than any budget where that is beyond what is planned.
static size_t planned_peak(const PlanOptions& options) {
  try {
    return plan_training(options).use.peak;
  } catch (const Error& error) {
    if (error.fault() != Fault::memory) throw;
    return std::numeric_limits<size_t>::max();
  }
}

int64_t largest_batch(PlanOptions options, size_t budget) {
  options.accumulate = 1;
  const auto peak = [&](int64_t batch) {
    options.batch = batch;
    return planned_peak(options);
  };
  // Bytes grow with the batch almost in a straight line: the line through the two largest that fit says where to look.
  // Should it mislead, every fourth time the middle is taken, or, where nothing was too large yet, twice as many.
  struct Tried {
    int64_t batch;
    size_t peak;
  };
  Tried low{1, peak(1)}, before = low;
  if (low.peak > budget) return 0;
  int64_t high = most_images(*options.model) + 1;  // does not fit, or is not planned
  bool tried_high = false;
  for (int64_t round = 0; high - low.batch > 1; ++round) {
    int64_t next = tried_high ? low.batch + (high - low.batch) / 2 : 2 * low.batch;
    if (round % 4 != 3 && low.peak > before.peak) {
      const double each = static_cast<double>(low.peak - before.peak) / static_cast<double>(low.batch - before.batch);
      const double more = std::round(static_cast<double>(budget - low.peak) / each);
      next = low.batch + static_cast<int64_t>(std::clamp(more, 1., static_cast<double>(high - low.batch)));
    }
    next = std::min(next, high - 1);
    if (const size_t found = peak(next); found <= budget) {
      before = std::exchange(low, {next, found});
    } else {
      high = next;
      tried_high = true;
    }
  }
  return low.batch;
}

std::optional<std::string> lower_floor(PlanOptions& options, size_t budget) {
  PlanOptions tried = options;
  std::string flags;
  const auto add = [&](std::string_view flag, std::string_view word) {
    flags += text(flags.empty() ? "" : " ", setting(flag), ' ', word);
  };
  for (int part = 0; planned_peak(tried) > budget; ++part) {
    if (part == 0 && tried.accumulate == 1 && !tried.update_in_backward) {
      tried.update_in_backward = true;
      add("update", "in-backward");
    } else if (part == 1 && tried.optimizer.state == StateAs::f32) {
      tried.optimizer.state = StateAs::codes;
      add("state", "8bit");
    } else if (part == 2 && tried.weights_as == WeightsAs::f32) {
      tried.weights_as = WeightsAs::split;
      add("weights-as", "bf16+8");
    } else if (part > 2) {
      return {};
    }
  }
  options = tried;
  return flags;
}

std::string what_would_fit(PlanOptions options, size_t budget) {
  const int64_t batch = options.batch;
  std::vector<int64_t> passes;  // that divide the batch
  for (int64_t k = 1; k <= batch; ++k)
    if (batch % k == 0 && (!options.update_in_backward || k == options.accumulate)) passes.push_back(k);
  const auto peak = [&](std::string_view policy, int64_t accumulate) {
    options.policy = policy;
    options.accumulate = accumulate;
    return planned_peak(options);
  };
  const std::string given = options.policy;
  std::vector<std::string> policies{given};
  const std::vector<PolicyDoc> known = policy_docs();
  for (const std::string_view other : {"lean", "checkpoint", "prebr++"})  // exact ones first
    if (other != given.substr(0, given.find(':')) &&
        std::any_of(known.begin(), known.end(), [&](const PolicyDoc& doc) { return doc.name == other; }))
      policies.emplace_back(other);
  for (const std::string& policy : policies) {
    // The fewest passes that fit: the more there are, the less one needs.
    const auto fewest =
        std::partition_point(passes.begin(), passes.end(), [&](int64_t k) { return peak(policy, k) > budget; });
    if (fewest == passes.end()) continue;
    std::string with = policy == given ? std::string() : text(" ", setting("policy"), " ", policy);
    if (*fewest > 1) with += text(" ", setting("accumulate"), " ", *fewest);
    return text("with", with, " it needs ", mib(peak(policy, *fewest)));
  }
  for (const std::string& policy : policies) {
    options.policy = policy;
    options.accumulate = 1;
    PlanOptions lowered = options;
    if (const auto flags = lower_floor(lowered, budget))
      return text("with ", policy == given ? "" : text(setting("policy"), " ", policy, " "), *flags, " it needs ",
                  mib(planned_peak(lowered)));
  }
  return {};
}

}  // namespace shear
