// shear models
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "command.h"
#include "options.h"
#include "output.h"
#include "shear/make_backend.h"
#include "shear/suggest.h"
#include "shear/train.h"
#include "table.h"

namespace shear::tool {

namespace {

struct ModelsFlags {
  std::vector<std::string> words;
  std::string policy = "full";
  bool json = false;
};

constexpr int64_t small_batch = 8, large_batch = 128;

struct ModelRow {
  std::string name;
  int64_t image, parameters;
  size_t small, large;  // bytes of a training step
};

ModelRow row_of(const std::string& name, const std::string& policy) {
  const ModelSpecPtr model = parse_model(name);
  Device device(make_planning_backend(DeviceKind::cpu, 1));
  const int64_t parameters = model->make(device, 0, Values::undefined)->parameters().elements();
  const auto bytes = [&](int64_t batch) {
    return plan_training({.model = model, .policy = policy, .batch = batch}).use.peak;
  };
  return {name, model->input()[1], parameters, bytes(small_batch), bytes(large_batch)};
}

int run_models(const ModelsFlags& flags) {
  std::vector<ModelRow> all;
  for (const std::string& name : known_models())
    if (std::all_of(flags.words.begin(), flags.words.end(),
                    [&](const std::string& word) { return name.find(word) != std::string::npos; }))
      all.push_back(row_of(name, flags.policy));
  if (all.empty())
    fail(Fault::usage, "no model is called like ", flags.words.front(),
         did_you_mean(flags.words.front(), known_models()), ", expected words of names that shear models lists");
  if (flags.json) {
    nlohmann::ordered_json j = nlohmann::ordered_json::array();
    for (const ModelRow& m : all)
      j.push_back({{"model", m.name},
                   {"image", m.image},
                   {"parameters", m.parameters},
                   {"policy", flags.policy},
                   {"bytes", {{std::to_string(small_batch), m.small}, {std::to_string(large_batch), m.large}}}});
    print_json(j);
    return 0;
  }
  Table table({"model", "image", "parameters", text("MiB at batch ", small_batch), text("at ", large_batch)});
  for (const ModelRow& m : all)
    table.add({m.name, std::to_string(m.image), grouped(m.parameters), mib(m.small), mib(m.large)});
  std::cout << table << "\nMemory of a training step of all parameters under " << flags.policy
            << ", with AdamW, for 1000 classes; shear plan says it for others.\n";
  return 0;
}

}  // namespace

void add_models(CLI::App& app, Run& chosen) {
  auto flags = std::make_shared<ModelsFlags>();
  CLI::App* cmd = app.add_subcommand("models", "the models that have names, and what training them needs");
  cmd->add_option("WORD", flags->words, "only names that hold all of these");
  offer_policies(cmd->add_option("--policy", flags->policy, "one, as for shear plan")->capture_default_str());
  cmd->add_flag("--json", flags->json, "prints one JSON array");
  cmd->footer(example("shear models patch16 --policy prebr++"));
  cmd->callback([&chosen, flags] { chosen = [flags] { return run_models(*flags); }; });
}

}  // namespace shear::tool
