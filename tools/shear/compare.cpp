// shear compare: the same fine-tune under each policy
#include <algorithm>
#include <cmath>
#include <iostream>
#include <limits>
#include <map>
#include <utility>

#include "command.h"
#include "compare_gradients.h"
#include "compare_report.h"
#include "exit_code.h"
#include "numbers.h"
#include "output.h"
#include "signals.h"

namespace shear::tool {

namespace fs = std::filesystem;

namespace {

struct CompareFlags : Comparison {
  std::string rates;
  int64_t seeds = 3;
  bool seeds_given = false, policies_given = false, gradients_only = false, by_block = false, scratch = false,
       head_only = false, overwrite = false;
};

// A policy as the name of a file: "prebr:prune=0.9,sample=0.3" -> "prebr_prune=0.9_sample=0.3".  A file system takes
// 255 bytes: what is long is cut, and told from others that begin alike by a hash.
std::string file_name(const std::string& policy) {
  std::string name = policy;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && std::string_view("+-=.").find(c) == std::string_view::npos)
      c = '_';
  constexpr size_t longest = 200;
  if (name.size() <= longest) return name;
  return name.substr(0, longest - 17) + '-' + short_hash(policy);
}

// The model that weights are for, with as many classes as the data will have.
std::string model_of(const std::string& weights) {
  std::string found = Weights(weights).model()->str();
  if (const size_t at = found.find(",classes="); at != std::string::npos) found.erase(at, found.find(',', at + 1) - at);
  return found;
}

// What takes part: a policy, with its recipe but for the seed; as tables and folders call it.
struct Contestant {
  std::string label, folder;
  Recipe recipe;
};

std::vector<Contestant> contestants(const CompareFlags& flags) {
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
  if (!flags.rates.empty() && recipe.lr)
    fail(Fault::usage, "--lr ", *recipe.lr, ": goes without --rates, which says what is tried");
  resolve_defaults(recipe);
  if (flags.scratch && recipe.weights.empty())
    fail(Fault::usage, "--scratch: every run begins from scratch, expected --weights beside it");
  if (flags.head_only && recipe.train == "head")
    fail(Fault::usage, "--head-only: every run trains the head alone, expected --train all beside it");
  if (flags.out.empty()) fail(Fault::usage, "--out is missing: expected the directory for the runs and the report");
  const uint64_t first = recipe.seed, seeds = static_cast<uint64_t>(flags.seeds) + (flags.rates.empty() ? 0 : 1);
  if (first > std::numeric_limits<uint64_t>::max() - (seeds - 1))
    fail(Fault::usage, "--seed ", first, ": there are no ", seeds, " seeds from there on (--seeds), expected at most ",
         std::numeric_limits<uint64_t>::max() - (seeds - 1));

  std::vector<Contestant> all;
  for (const std::string& policy : policies) {
    recipe.policy = policy;
    all.push_back({policy, file_name(policy), recipe});
  }
  recipe.policy = policies.front();
  if (flags.scratch) {
    Recipe other = recipe;
    other.weights.clear();
    if (other.model.empty()) other.model = model_of(recipe.weights);
    all.push_back({recipe.policy + " (from scratch)", file_name(recipe.policy) + "-scratch", other});
  }
  if (flags.head_only) {
    Recipe other = recipe;
    other.train = "head";
    other.lora.clear();
    all.push_back({recipe.policy + " (head only)", file_name(recipe.policy) + "-head", other});
  }
  return all;
}

std::vector<double> rates_of(const CompareFlags& flags) {
  if (flags.rates.empty()) return {};
  std::vector<double> rates = read_numbers("--rates", flags.rates, recipe_range("lr"));
  std::sort(rates.begin(), rates.end());
  if (std::adjacent_find(rates.begin(), rates.end()) != rates.end() || rates.size() < 2)
    fail(Fault::usage, "--rates ", flags.rates, ": expected two learning rates or more, each once");
  return rates;
}

// The runs, a stage at a time: with --rates every rate by the first seed, and then the best of each policy by the seeds
// after it, which alone count: the first's is the best of several.  Without, all of them at once.  Seed by seed, so
// that what changes on the machine over the hours meets every policy alike.
class Schedule {
 public:
  explicit Schedule(const CompareFlags& flags)
      : flags_(flags),
        contestants_(contestants(flags)),
        rates_(rates_of(flags)),
        out_(fs::path(flags.out) / "runs"),
        size_(contestants_.size() * (static_cast<size_t>(flags.seeds) + rates_.size())) {
    if (rates_.empty())
      add_seeds(0);
    else
      for (const double rate : rates_)
        for (const Contestant& c : contestants_) add(c, 0, rate);
  }

  std::vector<ComparedRun>& runs() { return runs_; }
  size_t size() const { return size_; }  // with those that are still to come
  // After all that there are: adds the seeds of each policy's best rate.  How many runs there were before.
  size_t go_on() {
    for (ComparedRun& run : runs_) run.counts = false;
    const size_t tried = runs_.size();
    for (Contestant& c : std::exchange(contestants_, {})) {
      const ComparedRun* best = nullptr;
      for (const ComparedRun& run : runs_)
        if (run.policy == c.label && !run.lost && (!best || better(run, *best))) best = &run;
      if (!best) {
        say(text(c.label, ": its loss was not finite at any of the rates; a lower one may be better"));
        continue;
      }
      c.recipe.lr = best->recipe.lr;
      const double rate = *c.recipe.lr;
      if (rate == rates_.front() || rate == rates_.back())
        say(text(c.label, ": the best rate, ", rate, ", is the ", rate == rates_.front() ? "lowest" : "highest",
                 " of those tried; one beyond it may be better"));
      contestants_.push_back(std::move(c));
    }
    add_seeds(1);
    size_ = runs_.size();
    return tried;
  }

 private:
  void add_seeds(int64_t first) {
    for (int64_t i = first; i < first + flags_.seeds; ++i)
      for (const Contestant& c : contestants_) add(c, i, *c.recipe.lr);
  }
  void add(const Contestant& c, int64_t seed, double rate) {
    ComparedRun& run = runs_.emplace_back(ComparedRun{c.label, c.recipe, {}, {}, {}});
    run.recipe.seed += static_cast<uint64_t>(seed);
    run.recipe.lr = rate;
    run.directory = out_ / text(c.folder, rates_.empty() ? "" : text("-lr=", rate), "-seed", run.recipe.seed);
  }
  // By accuracy, then by loss; what is not a number is worst.
  static bool better(const ComparedRun& a, const ComparedRun& b) {
    const auto of = [](const ComparedRun& run, const char* key, double none) {
      const auto found = run.summary.find(key);
      return found != run.summary.end() && found->is_number() ? found->get<double>() : none;
    };
    const double x = of(a, "accuracy", -1), y = of(b, "accuracy", -1);
    return x != y ? x > y : of(a, "loss", HUGE_VAL) < of(b, "loss", HUGE_VAL);
  }

  const CompareFlags& flags_;
  std::vector<Contestant> contestants_;
  std::vector<double> rates_;
  fs::path out_;
  std::vector<ComparedRun> runs_;
  size_t size_;
};

// 0, or the status that all of it ends with.  With --rates a run whose loss is not finite any more is lost, and the
// others go on.
int complete(ComparedRun& run, const CompareFlags& flags, const std::string& which) {
  const Standing from = standing(run, flags.overwrite);
  say(which + (from == Standing::done ? ": is there already" : from == Standing::half ? ": goes on" : ""));
  if (from != Standing::done) {
    const auto began = fs::file_time_type::clock::now() - std::chrono::seconds(1);  // files' clocks are coarser
    if (const int status = train_apart(run, flags.recipe, from); status != 0) {
      run.lost = !flags.rates.empty() && status == exit_code(Fault::input) && was_not_finite(run, began);
      if (!run.lost) return status;
      run.counts = false;
      say(which + ": lost");
      return 0;
    }
  }
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

int gradients_only(const CompareFlags& flags) {
  for (const auto& [given, flag] : {std::pair(flags.scratch, "--scratch"), std::pair(flags.head_only, "--head-only"),
                                    std::pair(flags.overwrite, "--overwrite"), std::pair(flags.seeds_given, "--seeds"),
                                    std::pair(!flags.rates.empty(), "--rates")})
    if (given) fail(Fault::usage, flag, ": nothing is trained, expected it without --gradients-only");
  if (!flags.by_block) return compare_gradients(flags);
  if (flags.policies_given)
    fail(Fault::usage, "--policy: goes without --by-block, which goes through policies of its own");
  return compare_blocks(flags);
}

// The runs from `begin` on.
int complete_all(Schedule& schedule, size_t begin, const CompareFlags& flags) {
  std::vector<ComparedRun>& runs = schedule.runs();
  for (size_t i = begin; i < runs.size(); ++i) standing(runs[i], flags.overwrite);  // one with other options: told now
  for (size_t i = begin; i < runs.size(); ++i) {
    ComparedRun& run = runs[i];
    const std::string rate = flags.rates.empty() ? "" : text(", lr ", *run.recipe.lr);
    const std::string which =
        text('[', i + 1, '/', schedule.size(), "] ", run.policy, rate, ", seed ", run.recipe.seed);
    const int status = interrupted() ? 130 : complete(run, flags, which);
    if (status == 130)
      say(text("interrupted after ", i, " of ", schedule.size(),
               " runs; the same command goes on from there: shear compare ... --out ", flags.out));
    if (status != 0) return status;
  }
  return 0;
}

int run_compare(const CompareFlags& flags) {
  if (flags.gradients_only) return gradients_only(flags);
  if (flags.by_block) fail(Fault::usage, "--by-block: trains nothing, expected --gradients-only beside it");
  Schedule schedule(flags);
  make_directory(fs::path(flags.out) / "runs");
  catch_interrupts();
  const bool rates = !flags.rates.empty();
  if (const int status = complete_all(schedule, 0, flags); status != 0) return status;
  if (rates) {
    const size_t tried = schedule.go_on();
    if (const int status = complete_all(schedule, tried, flags); status != 0) return status;
  }
  const std::vector<ComparedRun>& runs = schedule.runs();
  const std::vector<PolicyRow> rows = by_policy(runs);
  if (rows.empty())
    fail(Fault::input, "--rates ", flags.rates,
         ": no loss stayed finite by the seeds that count, expected a lower rate");
  const nlohmann::ordered_json json = comparison_json(runs, rows);
  const fs::path out = flags.out;
  const std::string title = text(runs[0].summary.value("model", ""), ", batch ", runs[0].recipe.batch);
  write_text_atomically(out / "compare.json", json_text(json) + '\n');
  write_text_atomically(out / "compare.csv", comparison_csv(runs));
  write_text_atomically(out / "layers.csv", layers_csv(runs));
  write_text_atomically(out / "compare.svg", comparison_svg(rows, title));
  if (rates) write_text_atomically(out / "rates.svg", rates_svg(runs, title));
  if (flags.json)
    print_json(json);
  else
    std::cout << comparison_table(rows, rates);
  return 0;
}

}  // namespace

void add_compare(CLI::App& app, Run& chosen) {
  auto flags = std::make_shared<CompareFlags>();
  CLI::App* cmd =
      app.add_subcommand("compare", "the same training under each policy: accuracy, memory, time, gradients");
  flags->recipe.add_model(*cmd);
  const CLI::Option* policies =
      offer_policies(cmd->add_option("--policy", flags->policies, "separated by ';'; ratios are to the first")
                         ->capture_default_str()
                         ->type_name("P[;P...]"));
  const CLI::Option* seeds =
      add_number(*cmd, "--seeds", flags->seeds, {1, 1000}, "runs per policy, with seeds from --seed on");
  cmd->add_option("--rates", flags->rates,
                  "learning rates that each policy tries by the first seed; the best goes on with the seeds after it, "
                  "which alone count, and rates.svg shows accuracy against the gradient's cosine")
      ->type_name("R,R[,...]");
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
  cmd->add_flag("--by-block", flags->by_block,
                "with --gradients-only: what codes of each block add to the gradient, in a table, and with --out in "
                "blocks.json, which --block-errors of plan and train takes");
  add_number(*cmd, "--cosine-batches", flags->cosine_batches, {1, 1e6},
             "on which gradients are compared with those of full");
  flags->recipe.add_training(*cmd);
  flags->recipe.add_running(*cmd);
  cmd->add_flag("--json", flags->json, "prints compare.json");
  cmd->footer(policy_help() + example("shear compare --data photos/ --weights vit_small.safetensors --policy "
                                      "\"full;prebr++\" --seeds 2 --epochs 5 --batch 32 --out compare/"));
  cmd->callback([&chosen, flags, seeds, policies] {
    flags->seeds_given = seeds->count() > 0;
    flags->policies_given = policies->count() > 0;
    chosen = [flags] { return run_compare(*flags); };
  });
}

}  // namespace shear::tool
