// shear plan
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "command.h"
#include "kernel_times.h"
#include "numbers.h"
#include "options.h"
#include "output.h"
#include "table.h"

namespace shear::tool {

namespace {

struct PlanFlags {
  std::string model, policy, budget, block_errors, update = "after", state = "f32", weights_as = "f32", lora;
  DeviceFlags device;
  PlanOptions plan;
  bool saves = false, json = false, no_time = false, time_anew = false;
  int64_t images = 0;
  std::optional<int64_t> epochs;
};

struct Row {
  std::string asked, policy;  // policy: what is planned, for auto what it chose
  Plan plan;
  int64_t largest = 0;                 // batch within the budget
  std::optional<std::string> lowered;  // what it takes to come within the budget, see lower_floor
  std::optional<PolicyChoice> chosen;  // of auto
  std::optional<double> seconds;       // of a step
};

// What is there whatever the policy and the batch.
size_t floor_of(const MemoryUse& use) { return use.parameters + use.gradients + use.optimizer; }

std::vector<std::string> every_policy() {
  std::vector<std::string> names;
  for (const PolicyDoc& doc : policy_docs()) names.emplace_back(doc.name);
  return names;
}

// What was saved, site by site; equal consecutive rows of the same op are not merged: order is what it tells.
void print_saves(const Row& row) {
  Table table({"site", "op", "asked", "got", "dense MiB", "saved MiB", "why"});
  for (const PlannedSave& s : row.plan.saves)
    table.add({s.site, s.op, s.asked, s.got, mib(s.dense_bytes), mib(s.saved_bytes), s.why});
  std::cout << "\nWhat " << row.policy << " keeps, in the order of the forward pass:\n" << table;
}

std::string seconds_cell(const Row& r) { return r.seconds ? fixed(*r.seconds, *r.seconds < 10 ? 3 : 1) : "-"; }

int run_plan(PlanFlags& flags) {
  PlanOptions& options = flags.plan;
  options.model = parse_model(flags.model);
  options.threads = flags.device.threads;
  options.device = parse_device(flags.device.device);
  options.precision = parse_precision(flags.device.precision);
  if (options.batch % options.accumulate != 0)
    fail(Fault::usage, "--accumulate ", options.accumulate, ": expected a divisor of --batch ", options.batch);
  options.optimizer.state = parse_state(flags.state);
  options.weights_as = parse_weights_as(flags.weights_as);
  options.lora = parse_lora(flags.lora);
  options.update_in_backward = parse_update(flags.update);
  const size_t budget = flags.budget.empty() ? 0 : parse_bytes("--budget", flags.budget);
  if (flags.no_time && (flags.time_anew || flags.images > 0))
    fail(Fault::usage, "--no-time: goes without ", flags.time_anew ? "--time-anew" : "--images");
  if (flags.epochs && flags.images == 0)
    fail(Fault::usage, "--epochs ", *flags.epochs, ": of how many images? expected --images beside it");
  const int64_t steps = flags.images / options.batch * flags.epochs.value_or(10);
  if (flags.images > 0 && steps == 0)
    fail(Fault::usage, "--images ", flags.images, ": expected as many as --batch ", options.batch, " or more");
  std::optional<KeptTimes> times;
  if (!flags.no_time) times.emplace(options.threads, flags.device.precision, flags.time_anew);
  const auto tell_time = [&](Row& row, const PlanOptions& of) {
    if (times) row.seconds = times->step_seconds(of);
  };
  const std::vector<std::string> policies = flags.policy.empty() ? every_policy() : split_policies(flags.policy);
  const std::optional<MeasuredBlocks> measured =
      read_block_errors(flags.block_errors, budget > 0 && std::any_of(policies.begin(), policies.end(), is_auto));
  std::vector<Row> rows;
  for (const std::string& policy : policies) {
    options.policy = policy;
    if (is_auto(policy) && budget > 0) {
      PlanOptions with = options;
      Row& row = rows.emplace_back(
          Row{policy, {}, {}, 0, {}, choose_policy(with, budget, measured ? &*measured : nullptr), {}});
      row.policy = with.policy;
      row.plan = row.chosen ? row.chosen->plan : plan_training(with);
      row.largest = largest_batch(with, budget);
      if (row.chosen) row.lowered = row.chosen->lowered;
      tell_time(row, with);
      continue;
    }
    Row& row = rows.emplace_back(Row{policy, policy, plan_training(options), 0, {}, {}, {}});
    tell_time(row, options);
    if (budget == 0) continue;
    row.largest = largest_batch(options, budget);
    PlanOptions lowered = options;
    row.lowered = lower_floor(lowered, budget);
  }
  const auto fits = [&](const Row& r) { return r.plan.use.peak <= budget; };
  const auto choice = std::find_if(rows.begin(), rows.end(), fits);

  if (flags.json) {
    nlohmann::ordered_json j{{"model", flags.model}, {"batch", options.batch}};
    for (const Row& r : rows) {
      const MemoryUse& use = r.plan.use;
      nlohmann::ordered_json one{{"policy", r.asked},
                                 {"peak_bytes", use.peak},
                                 {"floor_bytes", floor_of(use)},
                                 {"parameter_bytes", use.parameters},
                                 {"gradient_bytes", use.gradients},
                                 {"optimizer_bytes", use.optimizer},
                                 {"saved_bytes", use.saved},
                                 {"workspace_bytes", use.workspace}};
      if (r.seconds) {
        one["seconds"] = *r.seconds;
        if (steps > 0) one["run_seconds"] = *r.seconds * static_cast<double>(steps);
      }
      if (budget > 0) {
        one["fits"] = fits(r), one["largest_batch"] = r.largest;
        one["fits_with"] = r.lowered ? nlohmann::ordered_json(*r.lowered) : nlohmann::ordered_json();
      }
      if (r.chosen) one["chosen"] = r.chosen->policy, one["gradient_error"] = r.chosen->error;
      if (flags.saves)
        for (const PlannedSave& s : r.plan.saves)
          one["saves"].push_back({{"site", s.site},
                                  {"op", s.op},
                                  {"asked", s.asked},
                                  {"got", s.got},
                                  {"why", s.why},
                                  {"dense_bytes", s.dense_bytes},
                                  {"saved_bytes", s.saved_bytes}});
      j["policies"].push_back(std::move(one));
    }
    if (budget > 0) {
      j["budget_bytes"] = budget;
      j["choice"] = choice == rows.end() ? nlohmann::ordered_json() : nlohmann::ordered_json(choice->policy);
      if (choice != rows.end() && choice->chosen) j["choice_with"] = choice->chosen->lowered;
    }
    print_json(j);
  } else {
    print(text(flags.model, ", batch ", options.batch,
               options.accumulate > 1 ? text(" in ", options.accumulate, " passes") : "", ", ", options.optimizer.name,
               options.optimizer.state == StateAs::codes ? " with its state in 8 bits" : "",
               options.weights_as == WeightsAs::f32 ? "" : ", weights in " + flags.weights_as,
               flags.lora.empty() ? "" : ", LoRA of rank " + std::to_string(options.lora.rank),
               options.update_in_backward ? ", updates in backward" : "", ": MiB at the peak of a training step"));
    std::vector<std::string> header{"policy",    "peak",      "floor", "parameters",
                                    "gradients", "optimizer", "saved", "workspace"};
    if (times) header.emplace_back("step s");
    if (steps > 0) header.emplace_back(text(grouped(steps), " steps"));
    if (budget > 0) header.insert(header.end(), {"fits", "largest batch", "fits with"});
    Table table(header);
    for (const Row& r : rows) {
      const MemoryUse& use = r.plan.use;
      std::vector<std::string> cells{r.asked,
                                     mib(use.peak),
                                     mib(floor_of(use)),
                                     mib(use.parameters),
                                     mib(use.gradients),
                                     mib(use.optimizer),
                                     mib(use.saved),
                                     mib(use.workspace)};
      if (times) cells.push_back(seconds_cell(r));
      if (steps > 0) cells.push_back(r.seconds ? human_time(*r.seconds * static_cast<double>(steps)) : "-");
      if (budget > 0)
        cells.insert(cells.end(), {fits(r) ? "yes" : "no", std::to_string(r.largest), r.lowered.value_or("nothing")});
      table.add(std::move(cells));
    }
    std::cout << table;
    for (const Row& r : rows)
      if (r.chosen) print(text(r.asked, ": ", r.policy, ", of an expected error of ", fixed(r.chosen->error, 3)));
    if (budget > 0 && choice != rows.end())
      std::cout << "Within " << human_bytes(budget) << ": " << choice->asked
                << (choice->chosen && !choice->chosen->lowered.empty() ? " with " + choice->chosen->lowered : "")
                << '\n';
    if (flags.saves)
      for (const Row& r : rows) print_saves(r);
  }
  if (budget > 0 && choice == rows.end()) {
    const auto least = std::min_element(rows.begin(), rows.end(),
                                        [](const Row& a, const Row& b) { return a.plan.use.peak < b.plan.use.peak; });
    options.policy = least->policy;
    const std::string help = what_would_fit(options, budget);
    fail(Fault::memory, "--budget ", flags.budget, ": none of the policies fits, ", least->policy, " needs ",
         human_bytes(least->plan.use.peak), help.empty() ? "" : "; " + help);
  }
  return 0;
}

}  // namespace

void add_plan(CLI::App& app, Run& chosen) {
  auto flags = std::make_shared<PlanFlags>();
  CLI::App* cmd = app.add_subcommand("plan", "memory and time of a training step under each policy, without training");
  offer_models(
      cmd->add_option("--model", flags->model, "as for train; a known name has 1000 classes unless it says otherwise")
          ->required()
          ->type_name("NAME"));
  add_recipe_number(*cmd, "--batch", flags->plan.batch, "images per step");
  add_recipe_number(*cmd, "--accumulate", flags->plan.accumulate, "passes per step");
  offer_policies(cmd->add_option("--policy", flags->policy, "one or several, separated by ';'")
                     ->default_str("all")
                     ->type_name("P[;P...]"));
  cmd->add_option("--budget", flags->budget, "names the first policy that fits: 4GiB, 800MB")->type_name("SIZE");
  add_block_errors(*cmd, flags->block_errors);
  offer(cmd->add_option("--optimizer", flags->plan.optimizer.name, "adamw or sgd")->capture_default_str(),
        {"adamw", "sgd"});
  add_recipe_number(*cmd, "--momentum", flags->plan.optimizer.momentum, "of sgd");
  add_state(*cmd, flags->state);
  add_weights_as(*cmd, flags->weights_as);
  add_lora(*cmd, flags->lora);
  add_update(*cmd, flags->update);
  add_trainable(*cmd, flags->plan.train);
  flags->device.add(*cmd);
  add_number(*cmd, "--images", flags->images, any_count, "of a data set, to tell how long a training takes");
  add_recipe_number(*cmd, "--epochs", flags->epochs, "of that training")->default_str("10");
  cmd->add_flag("--no-time", flags->no_time, "measures nothing, and tells no time of a step");
  cmd->add_flag("--time-anew", flags->time_anew, "measures again what was measured on this machine before");
  cmd->add_flag("--saves", flags->saves, "lists what each op asked to keep and what became of it");
  cmd->add_flag("--json", flags->json, "prints one JSON object");
  cmd->footer(policy_help() + example("shear plan --model vit_base_patch16_224 --batch 128 --budget 4GiB"));
  cmd->callback([&chosen, flags] { chosen = [flags] { return run_plan(*flags); }; });
}

}  // namespace shear::tool
