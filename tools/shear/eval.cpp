// shear eval
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "command.h"
#include "model.h"
#include "numbers.h"
#include "output.h"
#include "progress.h"
#include "table.h"

namespace shear::tool {

namespace {

struct EvalFlags {
  DataFlags data;
  WeightFlags weights;
  std::string part;
  int64_t batch = 64, worst = 10;
  int loader_threads = 1;
  ImageFlags image;
  DeviceFlags device;
  bool json = false;
};

struct ClassResult {
  int64_t index, samples, right, confused_with, confused;  // most often taken for; -1: never
};

// Of the classes that there were samples of.
std::vector<ClassResult> by_class(const Evaluation& e) {
  std::vector<ClassResult> results;
  for (const auto& [cell, n] : e.confusion) {  // in the order of the true classes
    const auto [truth, chosen] = cell;
    if (results.empty() || results.back().index != truth) results.push_back({truth, 0, 0, -1, 0});
    ClassResult& r = results.back();
    r.samples += n;
    if (chosen == truth)
      r.right = n;
    else if (n > r.confused)
      r.confused_with = chosen, r.confused = n;
  }
  std::stable_sort(results.begin(), results.end(), [](const ClassResult& a, const ClassResult& b) {
    return static_cast<double>(a.right) / static_cast<double>(a.samples) <
           static_cast<double>(b.right) / static_cast<double>(b.samples);
  });
  return results;
}

double share(const ClassResult& r) { return static_cast<double>(r.right) / static_cast<double>(r.samples); }

int run_eval(const EvalFlags& flags) {
  const auto loaded = load_model(flags.weights, flags.image, flags.device);
  expect_square(*loaded->spec);
  const DataSplits data = flags.data.open(flags.weights.weights);
  const Dataset& part = choose_part(data, flags.part, flags.data.data);
  const std::vector<int> labels = labels_for(*loaded, part);
  Loader::Options options;
  options.batch = std::clamp<int64_t>(part.size(), 1, flags.batch);  // no room for images that are not there
  options.threads = flags.loader_threads;
  options.preprocess = loaded->card.preprocess;
  Evaluation e;
  {
    Progress progress;
    const char* name = &part == data.val.get() ? "validation" : &part == data.test.get() ? "test" : "training";
    progress.say(text(flags.data.data, ": ", data.kind, ", ", part.size(), " ", name, " images; ", loaded->card.model));
    e = *evaluate(loaded->device, std::ref(*loaded->model), part, options, loaded->spec->classes(), labels,
                  [&](int64_t done, int64_t total) {
                    progress.at(static_cast<double>(done) / static_cast<double>(total),
                                text("evaluated ", done, "/", total));
                    return true;
                  });
  }
  const std::vector<ClassResult> classes = by_class(e);
  if (flags.json) {
    nlohmann::ordered_json j{{"samples", e.samples}, {"accuracy", e.accuracy}, {"top5", e.top5}, {"loss", e.loss}};
    j["classes"] = nlohmann::ordered_json::array();
    for (const ClassResult& r : classes) {
      nlohmann::ordered_json c{
          {"class", class_name(loaded->card, r.index)}, {"samples", r.samples}, {"accuracy", share(r)}};
      if (r.confused_with >= 0)
        c["confused_with"] = {{"class", class_name(loaded->card, r.confused_with)}, {"samples", r.confused}};
      j["classes"].push_back(std::move(c));
    }
    print_json(j);
    return 0;
  }
  Table totals({"samples", "top-1", "top-5", "loss"});
  totals.add({std::to_string(e.samples), fixed(e.accuracy, 4), fixed(e.top5, 4), fixed(e.loss, 4)});
  std::cout << totals << "\nThe classes that are recognised least:\n";
  Table worst({"class", "samples", "accuracy", "most often taken for", "times"});
  for (size_t i = 0; i < classes.size() && i < static_cast<size_t>(flags.worst); ++i) {
    const ClassResult& r = classes[i];
    worst.add({class_name(loaded->card, r.index), std::to_string(r.samples), fixed(share(r), 3),
               r.confused_with < 0 ? "-" : class_name(loaded->card, r.confused_with), std::to_string(r.confused)});
  }
  std::cout << worst;
  return 0;
}

}  // namespace

void add_eval(CLI::App& app, Run& chosen) {
  auto flags = std::make_shared<EvalFlags>();
  CLI::App* cmd = app.add_subcommand("eval", "accuracy and loss of a model on a data set");
  flags->data.add_data(*cmd, "as for train")->required();
  flags->data.add_val(*cmd);
  offer_parts(cmd->add_option("--part", flags->part, "train, val or test")->default_str("val where there is one"));
  flags->weights.add(*cmd);
  add_recipe_number(*cmd, "--batch", flags->batch, "images at a time");
  add_number(*cmd, "--worst", flags->worst, any_count, "classes to list");
  flags->image.add(*cmd, "the weights' own, else as their library");
  flags->device.add(*cmd);
  add_number(*cmd, "--loader-threads", flags->loader_threads, loader_thread_counts, "for reading images");
  cmd->add_flag("--json", flags->json, "prints one JSON object");
  cmd->footer(example("shear eval --data photos/ --weights run/model.safetensors"));
  cmd->callback([&chosen, flags] { chosen = [flags] { return run_eval(*flags); }; });
}

}  // namespace shear::tool
