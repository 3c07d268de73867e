// shear train
#include <iostream>
#include <nlohmann/json.hpp>

#include "command.h"
#include "numbers.h"
#include "output.h"
#include "progress.h"
#include "recipe_flags.h"
#include "signals.h"
#include "table.h"

namespace shear::tool {

namespace fs = std::filesystem;

namespace {

struct TrainFlags {
  RecipeFlags recipe;
  std::string out, resume, budget, block_errors;
  int64_t stop_after = 0;
  bool overwrite = false, json = false;
};

// What was given again must be what the run began with, but for where its data lies and how long it goes on.
Recipe going_on(const CLI::App& app, const Recipe& given, const Recipe& stored, const std::string& directory) {
  Recipe recipe = stored;
  if (!given.data.empty()) recipe.data = given.data;
  if (!given.val.empty()) recipe.val = given.val;
  if (given.epochs) recipe.epochs = given.epochs, recipe.steps.reset();
  if (given.steps) recipe.steps = given.steps, recipe.epochs = given.epochs;
  const auto ours = nlohmann::json::parse(to_json(given)), theirs = nlohmann::json::parse(to_json(recipe));
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() == 0 || option->get_lnames().empty()) continue;
    const std::string name = option->get_lnames().front();
    if (!ours.contains(name) || ours.at(name) == theirs.value(name, nlohmann::json())) continue;
    fail(Fault::usage, "--", name, " ", ours.at(name).dump(), ": the run in ", directory, " began with ",
         theirs.value(name, nlohmann::json()).dump(),
         ", expected the same or none; what may change is --data, --val, --epochs and --steps, and",
         " anything else in a new run that begins with its weights: --weights ",
         (fs::path(directory) / "last.safetensors").string(), " --out another directory");
  }
  return recipe;
}

void print_outcome(const TrainOutcome& outcome, const TrainFlags& flags) {
  if (flags.json) {
    nlohmann::ordered_json j;
    if (outcome.end == TrainEnd::interrupted)
      j = {{"interrupted", true}, {"steps", outcome.step}};
    else
      j = nlohmann::ordered_json::parse(outcome.summary);
    print_json(j);
    return;
  }
  if (outcome.end == TrainEnd::interrupted) return;
  const auto s = nlohmann::json::parse(outcome.summary);
  const std::string part = s.at("accuracy_of") == "val" ? "validation" : "training batches";
  Table table({"", ""});
  const auto number = [](const nlohmann::json& v, int digits) {
    return v.is_number() ? fixed(v.get<double>(), digits) : "nan";
  };
  table.add({"accuracy (" + part + ")", number(s.at("accuracy"), 4)});
  table.add({"loss (" + part + ")", number(s.at("loss"), 4)});
  if (s.contains("best_accuracy"))
    table.add(
        {"best accuracy", number(s.at("best_accuracy"), 4) + text(" after step ", s.at("best_step").get<int64_t>())});
  table.add({"steps", grouped(s.at("steps"))});
  table.add({"time", human_time(s.at("seconds"))});
  table.add({"step, median", number(s.at("step_seconds_median"), 4) + " s"});
  table.add({"memory of a step", human_bytes(s.at("peak_bytes"))});
  for (const char* part_of : {"parameter", "gradient", "optimizer", "saved", "workspace"})
    table.add({std::string("  ") + part_of, human_bytes(s.at(std::string(part_of) + "_bytes"))});
  table.add({"process, peak", human_bytes(s.at("rss_peak_bytes"))});
  table.add({"weights", (fs::path(flags.out) / "model.safetensors").string()});
  std::cout << table;
}

int run_train(const CLI::App& app, TrainFlags& flags) {
  RunOptions options;
  Recipe recipe = flags.recipe.read();
  if (!flags.resume.empty()) {
    std::error_code error;
    if (fs::is_regular_file(flags.resume, error)) {  // a checkpoint of the run
      options.from = flags.resume;
      flags.resume = fs::path(absolute_path(flags.resume)).parent_path().string();
    }
    if (!flags.out.empty() && !fs::equivalent(flags.out, flags.resume, error))
      fail(Fault::usage, "--out ", flags.out, ": a resumed run goes on in ", flags.resume,
           ", expected the same or none");
    if (flags.overwrite) fail(Fault::usage, "--overwrite and --resume are both given, expected one of them");
    recipe = going_on(app, recipe, read_recipe(flags.resume, options.from), flags.resume);
    flags.out = flags.resume;
    options.resume = true;
  }
  options.out = flags.out;
  options.overwrite = flags.overwrite;
  options.threads = flags.recipe.device.threads;
  options.loader_threads = flags.recipe.loader_threads;
  if (!flags.recipe.memory_limit.empty())
    options.memory_limit = parse_bytes("--memory-limit", flags.recipe.memory_limit);
  if (!flags.budget.empty()) options.budget = parse_bytes("--budget", flags.budget);
  options.measured_blocks = read_block_errors(flags.block_errors, is_auto(recipe.policy) && options.budget > 0);
  options.device = parse_device(flags.recipe.device.device);
  options.stop_after = flags.stop_after;
  options.stop = &interrupted();
  catch_interrupts();

  TrainOutcome outcome;
  {
    TrainProgress progress;
    outcome = train(recipe, options, progress);
    if (outcome.end == TrainEnd::interrupted)
      progress.note(text("interrupted after step ", outcome.step, "; go on with: shear train --resume ", flags.out));
    if (outcome.end == TrainEnd::finished_before)
      progress.note("the run in " + flags.out + " is finished, nothing is left to do");
  }
  try {
    print_outcome(outcome, flags);
  } catch (const nlohmann::json::exception&) {  // of a run that was finished before
    fail(Fault::input, (fs::path(flags.out) / "summary.json").string(), ": is not what shear train writes there");
  }
  return outcome.end == TrainEnd::interrupted ? 130 : 0;
}

}  // namespace

void add_train(CLI::App& app, Run& chosen) {
  auto flags = std::make_shared<TrainFlags>();
  CLI::App* cmd = app.add_subcommand("train", "trains or fine-tunes a model");
  RecipeFlags& r = flags->recipe;
  r.add_model(*cmd);
  offer_policies(cmd->add_option("--policy", r.recipe.policy, "what the tape remembers, see below")
                     ->capture_default_str()
                     ->type_name("NAME"));
  cmd->add_option("--out", flags->out, "directory of the run (not with --resume)")->type_name("DIR REQUIRED");
  cmd->add_option(
         "--resume", flags->resume,
         "goes on from DIR/last.safetensors, or from the checkpoint named, with its options; --data and --val say "
         "where the data lies now, --epochs and --steps how long it shall be in all")
      ->type_name("DIR");
  cmd->add_flag("--overwrite", flags->overwrite, "begins anew in a directory that holds a run");

  r.add_training(*cmd);
  add_number(*cmd, "--stop-after", flags->stop_after, any_count,
             "as if interrupted after this step; 0: go on to the end")
      ->group("Running");
  r.add_running(*cmd);
  cmd->add_option("--budget", flags->budget,
                  "memory of a step: 2GiB, 800MB; turns on what it takes of --update in-backward, --state 8bit and "
                  "--weights-as bf16+8, in this order, and says so")
      ->type_name("SIZE")
      ->group("Running");
  add_block_errors(*cmd, flags->block_errors)->group("Running");
  cmd->add_flag("--json", flags->json, "prints the summary as one JSON object");
  cmd->footer(
      policy_help() +
      example("shear train --data photos/ --weights vit_small.safetensors --policy prebr++ --epochs 5 --batch 32 "
              "--out run/"));
  cmd->callback([&chosen, cmd, flags] { chosen = [cmd, flags] { return run_train(*cmd, *flags); }; });
}

}  // namespace shear::tool
