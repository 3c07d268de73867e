// What a training step needs, found by running the real tape on a backend that computes nothing.
#include <algorithm>

#include "shear/train.h"

namespace shear {

namespace {

std::string mib(size_t bytes) {
  std::ostringstream out;
  out.precision(1);
  out << std::fixed << static_cast<double>(bytes) / (1 << 20) << " MiB";
  return out.str();
}

}  // namespace

std::unique_ptr<Optimizer> make_optimizer(Device& device, Parameters& parameters, const OptimizerOptions& options) {
  auto groups = decay_groups(parameters, options.weight_decay);
  if (options.name == "sgd") return make_sgd(device, std::move(groups), {.momentum = options.momentum});
  if (options.name == "adamw") return make_adamw(device, std::move(groups));
  fail(Fault::usage, "--optimizer ", options.name, ": expected adamw or sgd");
}

void choose_trainable(Parameters& parameters, std::string_view which) {
  if (which == "all") return;
  if (which != "head") fail(Fault::usage, "--train ", which, ": expected all or head");
  for (Param& p : parameters) p.trainable = p.name.starts_with("head.");
}

Plan plan_training(const PlanOptions& options) {
  Device device(make_planning_backend(options.device, options.threads, options.precision));
  Vit model(device, options.model, 0);
  choose_trainable(model.parameters(), options.train);
  const auto policy = make_policy(options.policy);
  const auto optimizer = make_optimizer(device, model.parameters(), options.optimizer);
  const VitConfig& c = options.model;
  const Shape input{c.channels, c.image, c.image};
  TrainStep step(device, model.parameters(), std::ref(model), *policy, *optimizer,
                 {.input = input, .accumulate = options.accumulate});
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
  if (!policy->steady()) {  // the most that some draws need, and room for those that were not looked at
    constexpr int64_t draws = 32, apart = 100003;
    for (int64_t i = 1; i < draws; ++i) step(i * apart, 0, batch);
    margin = aligned(device.peak().saved / 20);
  }
  plan.use = device.peak();
  plan.use.workspace += margin;
  plan.use.peak += margin;

  // An evaluation between the steps shares their slab.
  Tape inference(device);
  const Tensor images = inference.empty({options.batch / options.accumulate, c.channels, c.image, c.image});
  model(inference, images);
  plan.step_bytes = device.arena().high_water() + margin;
  return plan;
}

int64_t largest_batch(PlanOptions options, size_t budget) {
  options.accumulate = 1;
  const auto fits = [&](int64_t batch) {
    options.batch = batch;
    return plan_training(options).use.peak <= budget;
  };
  if (!fits(1)) return 0;
  int64_t low = 1, high = 2;
  while (high < int64_t{1} << 24 && fits(high)) low = std::exchange(high, high * 2);
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

std::string what_would_fit(PlanOptions options, size_t budget) {
  const auto peak = [&](std::string_view policy, int64_t accumulate) {
    options.policy = policy;
    options.accumulate = accumulate;
    return plan_training(options).use.peak;
  };
  const std::string given = options.policy;
  std::vector<std::string> policies{given};
  const std::vector<PolicyDoc> known = policy_docs();
  for (const std::string_view other : {"lean", "checkpoint", "prebr++"})  // exact ones first
    if (other != given.substr(0, given.find(':')) &&
        std::any_of(known.begin(), known.end(), [&](const PolicyDoc& doc) { return doc.name == other; }))
      policies.emplace_back(other);
  for (const std::string& policy : policies)
    for (int64_t k = 1; k <= options.batch; ++k) {
      if (options.batch % k != 0) continue;
      const size_t need = peak(policy, k);
      if (need > budget) continue;
      std::string flags = policy == given ? "" : " --policy " + policy;
      if (k > 1) flags += text(" --accumulate ", k);
      return text("with", flags, " it needs ", mib(need));
    }
  return {};
}

}  // namespace shear
