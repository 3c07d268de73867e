// shear compare --gradients-only
#include "compare_gradients.h"

#include <iostream>

#include "compare_report.h"
#include "numbers.h"
#include "output.h"
#include "progress.h"
#include "signals.h"

namespace shear::tool {

namespace fs = std::filesystem;

namespace {

struct Asked {
  Recipe recipe;
  RunOptions run;
};

Asked asked(const Comparison& flags) {
  Asked a{flags.recipe.read(), {}};
  resolve_defaults(a.recipe);
  a.run.threads = flags.recipe.device.threads;
  a.run.loader_threads = flags.recipe.loader_threads;
  a.run.device = parse_device(flags.recipe.device.device);
  if (!flags.recipe.memory_limit.empty()) a.run.memory_limit = parse_bytes("--memory-limit", flags.recipe.memory_limit);
  a.run.stop = &interrupted();
  make_directory(flags.out);
  catch_interrupts();
  return a;
}

}  // namespace

void make_directory(const fs::path& out) {
  std::error_code error;
  if (!out.empty()) fs::create_directories(out, error);
  if (error) fail(Fault::input, "--out ", out.string(), ": cannot make this directory: ", error.message());
}

int compare_gradients(const Comparison& flags) {
  const std::vector<std::string> policies = split_policies(flags.policies);
  for (const std::string& policy : policies) make_policy(policy);
  const auto [recipe, run] = asked(flags);
  std::optional<GradientFidelities> found;
  {
    TrainProgress progress;
    found = gradient_fidelity(recipe, run, flags.cosine_batches, policies, progress);
  }
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

int compare_blocks(const Comparison& flags) {
  const auto [recipe, run] = asked(flags);
  std::optional<MeasuredBlocks> found;
  {
    TrainProgress progress;
    found = measure_blocks(recipe, run, flags.cosine_batches, progress);
  }
  if (!found) return 130;
  if (!flags.out.empty()) write_text_atomically(fs::path(flags.out) / "blocks.json", to_json(*found) + '\n');
  if (flags.json)
    print_json(nlohmann::ordered_json::parse(to_json(*found)));
  else
    std::cout << blocks_table(*found);
  return 0;
}

}  // namespace shear::tool
