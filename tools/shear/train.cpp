// shear train
#include <csignal>
#include <iostream>
#include <nlohmann/json.hpp>

#include "command.h"
#include "options.h"
#include "progress.h"
#include "table.h"

namespace shear::tool {

namespace fs = std::filesystem;

namespace {

struct Flags {
  Recipe recipe;
  ImageFlags image;
  std::string out, resume, memory_limit;
  DeviceFlags device;
  int loader_threads = 1;
  int64_t stop_after = 0;
  bool overwrite = false, json = false;
};

std::atomic<bool> stop{false};

// The first signal asks the trainer to stop after its step; the next one finds the system's own answer: the end.
extern "C" void ask_to_stop(int) {
  stop.store(true, std::memory_order_relaxed);
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

void make_absolute(std::string& path) {
  if (!path.empty()) path = fs::absolute(path).lexically_normal().string();
}

// What was given again must be what the run began with.
void compare(const CLI::App& app, const Recipe& given, const Recipe& stored, const std::string& directory) {
  const auto ours = nlohmann::json::parse(to_json(given)), theirs = nlohmann::json::parse(to_json(stored));
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() == 0 || option->get_lnames().empty()) continue;
    const std::string name = option->get_lnames().front();
    if (!ours.contains(name) || ours[name] == theirs[name]) continue;
    fail(Fault::usage, "--", name, " ", ours[name].dump(), ": the run in ", directory, " began with ",
         theirs[name].dump(), ", expected the same or none (a run goes on with the options that it began with)");
  }
}

void print(const TrainOutcome& outcome, const Flags& flags) {
  if (flags.json) {
    nlohmann::ordered_json j;
    if (outcome.end == TrainEnd::interrupted)
      j = {{"interrupted", true}, {"steps", outcome.step}};
    else
      j = nlohmann::ordered_json::parse(outcome.summary);
    std::cout << j.dump(2) << '\n';
    return;
  }
  if (outcome.end == TrainEnd::interrupted) return;
  const auto s = nlohmann::json::parse(outcome.summary);
  const std::string part = s["accuracy_of"] == "val" ? "validation" : "training batches";
  Table table({"", ""});
  const auto number = [](const nlohmann::json& v, int digits) {
    return v.is_number() ? fixed(v.get<double>(), digits) : "nan";
  };
  table.add({"accuracy (" + part + ")", number(s["accuracy"], 4)});
  table.add({"loss (" + part + ")", number(s["loss"], 4)});
  if (s.contains("best_accuracy"))
    table.add({"best accuracy", number(s["best_accuracy"], 4) + text(" after step ", s["best_step"].get<int64_t>())});
  table.add({"steps", grouped(s["steps"])});
  table.add({"time", human_time(s["seconds"])});
  table.add({"step, median", number(s["step_seconds_median"], 4) + " s"});
  table.add({"memory of a step", human_bytes(s["peak_bytes"])});
  for (const char* part_of : {"parameter", "gradient", "optimizer", "saved", "workspace"})
    table.add({std::string("  ") + part_of, human_bytes(s[std::string(part_of) + "_bytes"])});
  table.add({"process, peak", human_bytes(s["rss_peak_bytes"])});
  table.add({"weights", (fs::path(flags.out) / "model.safetensors").string()});
  std::cout << table;
}

int run(const CLI::App& app, Flags& flags) {
  RunOptions options;
  Recipe recipe = flags.recipe;
  make_absolute(recipe.data);
  make_absolute(recipe.val);
  make_absolute(recipe.weights);
  recipe.image = flags.image.read();
  if (!flags.resume.empty()) {
    if (!flags.out.empty() && !fs::equivalent(flags.out, flags.resume))
      fail(Fault::usage, "--out ", flags.out, ": a resumed run goes on in ", flags.resume,
           ", expected the same or none");
    if (flags.overwrite) fail(Fault::usage, "--overwrite and --resume are both given, expected one of them");
    const Recipe stored = read_recipe(flags.resume);
    compare(app, recipe, stored, flags.resume);
    recipe = stored;
    flags.out = flags.resume;
    options.resume = true;
  }
  options.out = flags.out;
  options.overwrite = flags.overwrite;
  options.threads = flags.device.threads;
  options.loader_threads = flags.loader_threads;
  if (!flags.memory_limit.empty()) options.memory_limit = parse_bytes("--memory-limit", flags.memory_limit);
  options.device = parse_device(flags.device.device);
  options.stop_after = flags.stop_after;
  options.stop = &stop;
  std::signal(SIGINT, ask_to_stop);
  std::signal(SIGTERM, ask_to_stop);

  TrainOutcome outcome;
  {
    TrainProgress progress;
    outcome = train(recipe, options, progress);
    if (outcome.end == TrainEnd::interrupted)
      progress.note(text("interrupted after step ", outcome.step, "; go on with: shear train --resume ", flags.out));
    if (outcome.end == TrainEnd::finished_before)
      progress.note("the run in " + flags.out + " is finished, nothing is left to do");
  }
  print(outcome, flags);
  return outcome.end == TrainEnd::interrupted ? 130 : 0;
}

}  // namespace

void add_train(CLI::App& app, Run& chosen) {
  auto flags = std::make_shared<Flags>();
  CLI::App* cmd = app.add_subcommand("train", "trains or fine-tunes a model");
  Recipe& r = flags->recipe;
  cmd->add_option("--data", r.data, "folder of class folders, or IDX files")->type_name("PATH");
  cmd->add_option("--val", r.val, "another data set of the same kind for validation")->type_name("PATH");
  cmd->add_option("--model", r.model, "vit_tiny_patch16_224, ..., or vit:image=28,patch=4,dim=192,depth=6,heads=3")
      ->default_str("the weights' own")
      ->type_name("NAME");
  cmd->add_option("--weights", r.weights, "safetensors to begin with; a head for other classes is replaced")
      ->type_name("FILE");
  cmd->add_option("--policy", r.policy, "what the tape remembers, see below")->capture_default_str()->type_name("NAME");
  cmd->add_option("--train", r.train, "all, or head: the rest is frozen")->capture_default_str();
  cmd->add_option("--out", flags->out, "directory of the run")->type_name("DIR");
  cmd->add_option("--resume", flags->resume, "goes on from DIR/last.safetensors, with its options")->type_name("DIR");
  cmd->add_flag("--overwrite", flags->overwrite, "begins anew in a directory that holds a run");

  const auto optimization = "Optimization";
  cmd->add_option("--epochs", r.epochs, "passes over the training images")->default_str("10")->group(optimization);
  cmd->add_option("--steps", r.steps, "or as many updates")->group(optimization);
  cmd->add_option("--batch", r.batch, "images per step")->capture_default_str()->group(optimization);
  cmd->add_option("--accumulate", r.accumulate, "cuts each batch into as many passes: less memory, the same result")
      ->capture_default_str()
      ->group(optimization);
  cmd->add_option("--optimizer", r.optimizer, "adamw or sgd")->capture_default_str()->group(optimization);
  cmd->add_option("--lr", r.lr, "highest learning rate; half a cosine leads it to zero")
      ->default_str("0.001 for adamw, 0.01 for sgd")
      ->group(optimization);
  cmd->add_option("--momentum", r.momentum, "of sgd")->capture_default_str()->group(optimization);
  cmd->add_option("--weight-decay", r.weight_decay, "of weights; none on biases, norms and embeddings")
      ->default_str("0.05 for adamw, 0 for sgd")
      ->group(optimization);
  cmd->add_option("--warmup", r.warmup, "steps in which the learning rate grows to its highest")
      ->default_str("a twentieth of the steps")
      ->group(optimization);
  cmd->add_option("--clip", r.clip, "the largest norm of the gradient; 0: any")
      ->capture_default_str()
      ->group(optimization);
  cmd->add_option("--smoothing", r.smoothing, "of the labels")->capture_default_str()->group(optimization);
  cmd->add_option("--dropout", r.dropout, "probability")->capture_default_str()->group(optimization);
  cmd->add_option(
         "--augment", r.augment,
         "none, flip (left-right), pad (and a random cut of the padded image) or crop (random resized, and flip)")
      ->capture_default_str()
      ->group(optimization);
  cmd->add_option("--seed", r.seed, "of first weights, order, augmentation and dropout")
      ->capture_default_str()
      ->group(optimization);
  flags->image.add(*cmd, "the weights' own, else as timm");

  const auto running = "Running";
  cmd->add_option("--eval-every", r.eval_every, "steps between evaluations; 0: an epoch")
      ->capture_default_str()
      ->group(running);
  cmd->add_option("--checkpoint-every", r.checkpoint_every, "steps between checkpoints; 0: an epoch")
      ->capture_default_str()
      ->group(running);
  cmd->add_option("--stop-after", flags->stop_after, "as if interrupted after this step; 0: go on to the end")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber)
      ->group(running);
  cmd->add_option("--memory-limit", flags->memory_limit, "refuses what a step needs beyond it: 4GiB, 800MB")
      ->default_str("none")
      ->type_name("SIZE")
      ->group(running);
  flags->device.add(*cmd);
  cmd->add_option("--loader-threads", flags->loader_threads, "for reading images")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  cmd->add_flag("--json", flags->json, "prints the summary as one JSON object");
  cmd->footer(policy_help());
  cmd->callback([&chosen, cmd, flags] { chosen = [cmd, flags] { return run(*cmd, *flags); }; });
}

}  // namespace shear::tool
