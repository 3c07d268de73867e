// shear compare: the same fine-tune under each policy
#include <iostream>
#include <limits>
#include <map>

#include "command.h"
#include "compare_report.h"
#include "numbers.h"
#include "output.h"
#include "signals.h"

namespace shear::tool {

namespace fs = std::filesystem;

namespace {

struct CompareFlags {
  RecipeFlags recipe;
  std::string policies = "full;lean", out;
  int64_t seeds = 3;
  int64_t cosine_batches = 4;
  bool seeds_given = false, scratch = false, head_only = false, gradients_only = false, overwrite = false, json = false;
};

// A policy as the name of a file: "prebr:prune=0.9,sample=0.3" -> "prebr_prune=0.9_sample=0.3".  A file system takes
// 255 bytes: what is long is cut, and told from others that begin alike by a hash (FNV-1a).
std::string file_name(const std::string& policy) {
  std::string name = policy;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && std::string_view("+-=.").find(c) == std::string_view::npos)
      c = '_';
  constexpr size_t longest = 200;
  if (name.size() <= longest) return name;
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : policy) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return text(name.substr(0, longest - 17), '-', std::hex, hash);
}

// The model that weights are for, with as many classes as the data will have.
std::string model_of(const std::string& weights) {
  std::string found = Weights(weights).model()->str();
  if (const size_t at = found.find(",classes="); at != std::string::npos) found.erase(at, found.find(',', at + 1) - at);
  return found;
}

// Seed by seed, so that what changes on the machine over the hours meets every policy alike.
std::vector<ComparedRun> plan_runs(const CompareFlags& flags) {
  const std::vector<std::string> policies = split_policies(flags.policies);
  std::map<std::string, std::string> names;
  for (const std::string& policy : policies) {
    make_policy(policy);
    const auto [at, added] = names.try_emplace(file_name(policy), policy);
    if (!added && at->second == policy)
      fail(Fault::usage, "--policy ", flags.policies, ": ", policy, " is there twice, expected each once");
    if (!added)
      fail(Fault::usage, "--policy ", flags.policies, ": ", policy, " and ", at->second,
           " would have the same folder, ", at->first, ", expected spellings that differ by a letter or a digit");
  }
  Recipe recipe = flags.recipe.read();
  resolve_defaults(recipe);
  if (flags.scratch && recipe.weights.empty())
    fail(Fault::usage, "--scratch: every run begins from scratch, expected --weights beside it");
  if (flags.head_only && recipe.train == "head")
    fail(Fault::usage, "--head-only: every run trains the head alone, expected --train all beside it");
  if (flags.out.empty()) fail(Fault::usage, "--out is missing: expected the directory for the runs and the report");

  std::vector<ComparedRun> runs;
  const auto add = [&](const Recipe& r, const std::string& label, const std::string& name) {
    runs.push_back({label, r, fs::path(flags.out) / "runs" / text(name, "-seed", r.seed), {}, {}});
  };
  const uint64_t first = recipe.seed, seeds = static_cast<uint64_t>(flags.seeds);
  if (first > std::numeric_limits<uint64_t>::max() - (seeds - 1))
    fail(Fault::usage, "--seed ", first, ": there are no ", seeds, " seeds from there on (--seeds), expected at most ",
         std::numeric_limits<uint64_t>::max() - (seeds - 1));
  for (uint64_t i = 0; i < seeds; ++i) {
    recipe.seed = first + i;
    for (const std::string& policy : policies) {
      recipe.policy = policy;
      add(recipe, policy, file_name(policy));
    }
    recipe.policy = policies.front();
    Recipe other = recipe;
    other.weights.clear();
    if (flags.scratch && other.model.empty()) other.model = model_of(recipe.weights);
    if (flags.scratch) add(other, recipe.policy + " (from scratch)", file_name(recipe.policy) + "-scratch");
    other = recipe;
    other.train = "head";
    other.lora.clear();
    if (flags.head_only) add(other, recipe.policy + " (head only)", file_name(recipe.policy) + "-head");
  }
  return runs;
}

// 0, or the status that all of it ends with.
int complete(ComparedRun& run, const CompareFlags& flags, const std::string& which) {
  const Standing from = standing(run, flags.overwrite);
  say(which + (from == Standing::done ? ": is there already" : from == Standing::half ? ": goes on" : ""));
  if (from != Standing::done)
    if (const int status = train_apart(run, flags.recipe, from); status != 0) return status;
  read_summary(run);
  const CosineOptions options{.batches = flags.cosine_batches,
                              .threads = flags.recipe.device.threads,
                              .loader_threads = flags.recipe.loader_threads,
                              .device = parse_device(flags.recipe.device.device),
                              .stop = &interrupted()};
  if (interrupted() || !find_cosine(run, options)) return 130;
  const auto& s = run.summary;
  say(text(which, ": accuracy ", s["accuracy"].is_null() ? "nan" : fixed(s["accuracy"], 4), ", ",
           human_bytes(s["peak_bytes"]), ", step ", fixed(1e3 * s["step_seconds_median"].get<double>(), 2),
           " ms, gradient cosine ", fixed(run.cosine.overall, 4)));
  return 0;
}

void make_directory(const fs::path& out) {  // none where nothing is named
  std::error_code error;
  if (!out.empty()) fs::create_directories(out, error);
  if (error) fail(Fault::input, "--out ", out.string(), ": cannot make this directory: ", error.message());
}

class Said final : public TrainObserver {
  void note(const std::string& line) override { say(line); }
  void warn(const std::string& line) override { say(line); }
};

int compare_gradients(const CompareFlags& flags) {
  for (const auto& [given, flag] : {std::pair(flags.scratch, "--scratch"), std::pair(flags.head_only, "--head-only"),
                                    std::pair(flags.overwrite, "--overwrite"), std::pair(flags.seeds_given, "--seeds")})
    if (given) fail(Fault::usage, flag, ": nothing is trained, expected it without --gradients-only");
  const std::vector<std::string> policies = split_policies(flags.policies);
  for (const std::string& policy : policies) make_policy(policy);
  Recipe recipe = flags.recipe.read();
  resolve_defaults(recipe);
  RunOptions run;
  run.threads = flags.recipe.device.threads;
  run.loader_threads = flags.recipe.loader_threads;
  run.device = parse_device(flags.recipe.device.device);
  if (!flags.recipe.memory_limit.empty()) run.memory_limit = parse_bytes("--memory-limit", flags.recipe.memory_limit);
  run.stop = &interrupted();
  make_directory(flags.out);
  catch_interrupts();
  Said said;
  const auto found = gradient_fidelity(recipe, run, flags.cosine_batches, policies, said);
  if (!found) return 130;
  const nlohmann::ordered_json json = gradients_json(*found, flags.cosine_batches);
  if (!flags.out.empty()) {
    write_text_atomically(fs::path(flags.out) / "gradients.json", json_text(json) + '\n');
    write_text_atomically(fs::path(flags.out) / "gradients.svg", gradients_svg(*found));
  }
  if (flags.json)
    print_json(json);
  else
    std::cout << gradients_table(*found);
  return 0;
}

int run_compare(const CompareFlags& flags) {
  if (flags.gradients_only) return compare_gradients(flags);
  std::vector<ComparedRun> runs = plan_runs(flags);
  for (const ComparedRun& r : runs) standing(r, flags.overwrite);  // a run with other options is told of now
  make_directory(fs::path(flags.out) / "runs");
  catch_interrupts();
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::string which = text('[', i + 1, '/', runs.size(), "] ", runs[i].policy, ", seed ", runs[i].recipe.seed);
    const int status = interrupted() ? 130 : complete(runs[i], flags, which);
    if (status == 130)
      say(text("interrupted after ", i, " of ", runs.size(),
               " runs; the same command goes on from there: shear compare ... --out ", flags.out));
    if (status != 0) return status;
  }
  const std::vector<PolicyRow> rows = by_policy(runs);
  const nlohmann::ordered_json json = comparison_json(runs, rows);
  const fs::path out = flags.out;
  const std::string title = text(runs[0].summary.value("model", ""), ", batch ", runs[0].recipe.batch);
  write_text_atomically(out / "compare.json", json_text(json) + '\n');
  write_text_atomically(out / "compare.csv", comparison_csv(runs));
  write_text_atomically(out / "layers.csv", layers_csv(runs));
  write_text_atomically(out / "compare.svg", comparison_svg(rows, title));
  if (flags.json)
    print_json(json);
  else
    std::cout << comparison_table(rows);
  return 0;
}

}  // namespace

void add_compare(CLI::App& app, Run& chosen) {
  auto flags = std::make_shared<CompareFlags>();
  CLI::App* cmd =
      app.add_subcommand("compare", "the same training under each policy: accuracy, memory, time, gradients");
  flags->recipe.add_model(*cmd);
  offer_policies(cmd->add_option("--policy", flags->policies, "separated by ';'; ratios are to the first")
                     ->capture_default_str()
                     ->type_name("P[;P...]"));
  const CLI::Option* seeds =
      add_number(*cmd, "--seeds", flags->seeds, {1, 1000}, "runs per policy, with seeds from --seed on");
  cmd->add_option("--out", flags->out,
                  "runs/, compare.json, compare.csv, layers.csv and compare.svg; goes on from there")
      ->type_name("DIR REQUIRED");
  cmd->add_flag("--overwrite", flags->overwrite, "begins runs anew that are there with other options");
  cmd->add_flag("--scratch", flags->scratch, "adds the first policy without --weights");
  cmd->add_flag("--head-only", flags->head_only, "adds the first policy with the head trained alone");
  cmd->add_flag(
      "--gradients-only", flags->gradients_only,
      "trains nothing: the gradient's error, bytes and time under each policy, at the weights as they are, in "
      "a table, and with --out in gradients.json and gradients.svg");
  add_number(*cmd, "--cosine-batches", flags->cosine_batches, {1, 1e6},
             "on which gradients are compared with those of full");
  flags->recipe.add_training(*cmd);
  flags->recipe.add_running(*cmd);
  cmd->add_flag("--json", flags->json, "prints compare.json");
  cmd->footer(policy_help() + example("shear compare --data photos/ --weights vit_small.safetensors --policy "
                                      "\"full;prebr++\" --seeds 2 --epochs 5 --batch 32 --out compare/"));
  cmd->callback([&chosen, flags, seeds] {
    flags->seeds_given = seeds->count() > 0;
    chosen = [flags] { return run_compare(*flags); };
  });
}

}  // namespace shear::tool
