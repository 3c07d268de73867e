// shear predict
#include <algorithm>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "command.h"
#include "model.h"
#include "table.h"

namespace shear::tool {

namespace {

struct Flags {
  std::vector<std::string> images;
  DataFlags data;
  WeightFlags weights;
  std::string part;
  std::vector<int64_t> indices;
  int64_t top = 5;
  ImageFlags image;
  DeviceFlags device;
  bool json = false;
};

struct Guess {
  int64_t index;
  double probability;
};

// Class probabilities of one image, the highest first.
std::vector<Guess> predict(LoadedModel& loaded, const Image& image) {
  const Preprocess& p = loaded.card.preprocess;
  const Shape shape{1, p.channels, p.image, p.image};
  std::vector<float> pixels(static_cast<size_t>(shape.elements()));
  prepare_eval(image, p, pixels.data());
  Tape tape(loaded.device);
  const Tensor x = loaded.device.upload(shape, Category::workspace, pixels);
  const std::vector<float> logits = loaded.device.download(loaded.model(tape, x));
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float v : logits) sum += std::exp(v - top);
  std::vector<Guess> guesses;
  for (size_t i = 0; i < logits.size(); ++i)
    guesses.push_back({static_cast<int64_t>(i), std::exp(logits[i] - top) / sum});
  std::stable_sort(guesses.begin(), guesses.end(),
                   [](const Guess& a, const Guess& b) { return a.probability > b.probability; });
  return guesses;
}

struct Prediction {
  std::string image, truth;  // truth: empty where not known
  std::vector<Guess> guesses;
};

int run(const Flags& flags) {
  if (flags.data.data.empty() != flags.indices.empty())
    fail(Fault::usage, "--data and --index name images together, expected both or none");
  if (flags.images.empty() && flags.indices.empty())
    fail(Fault::usage, "no image is named, expected files, or --data PATH --index I,J,...");
  const auto loaded = load_model(flags.weights, flags.image, flags.device);
  std::vector<Prediction> predictions;
  for (const std::string& path : flags.images) predictions.push_back({path, "", predict(*loaded, decode_image(path))});
  if (!flags.data.data.empty()) {
    const DataSplits data = flags.data.open(flags.weights.weights);
    const Dataset& part = choose_part(data, flags.part, flags.data.data);
    for (int64_t i : flags.indices) {
      require_index(part, i, flags.data.data);
      const std::string& truth = part.classes()[static_cast<size_t>(part.label(i))];
      predictions.push_back({part.describe(i), truth, predict(*loaded, part.read(i))});
    }
  }
  const size_t shown = static_cast<size_t>(std::min(flags.top, loaded->model.config().classes));
  if (flags.json) {
    nlohmann::ordered_json j{{"predictions", nlohmann::ordered_json::array()}};
    for (const Prediction& p : predictions) {
      nlohmann::ordered_json one{{"image", p.image}};
      if (!p.truth.empty()) one["truth"] = p.truth;
      for (size_t k = 0; k < shown; ++k)
        one["classes"].push_back(
            {{"class", class_name(loaded->card, p.guesses[k].index)}, {"probability", p.guesses[k].probability}});
      j["predictions"].push_back(std::move(one));
    }
    std::cout << j.dump(2) << '\n';
    return 0;
  }
  const bool truths =
      std::any_of(predictions.begin(), predictions.end(), [](const Prediction& p) { return !p.truth.empty(); });
  std::vector<std::string> header{"image"};
  if (truths) header.push_back("true class");
  header.insert(header.end(), {"class", "probability"});
  Table table(header);
  for (const Prediction& p : predictions)
    for (size_t k = 0; k < shown; ++k) {
      std::vector<std::string> row{k == 0 ? p.image : ""};
      if (truths) row.push_back(k == 0 ? p.truth : "");
      row.push_back(class_name(loaded->card, p.guesses[k].index));
      row.push_back(fixed(p.guesses[k].probability, 4));
      table.add(std::move(row));
    }
  std::cout << table;
  return 0;
}

}  // namespace

void add_predict(CLI::App& app, Run& chosen) {
  auto flags = std::make_shared<Flags>();
  CLI::App* cmd = app.add_subcommand("predict", "class names with probabilities for images");
  cmd->add_option("IMAGE", flags->images, "JPEG, PNG, WebP, GIF, BMP or TIFF files");
  flags->weights.add(*cmd);
  flags->data.add_data(*cmd, "takes images from a data set instead");
  cmd->add_option("--part", flags->part, "train, val or test")->default_str("val where there is one");
  cmd->add_option("--index", flags->indices, "which of its images, counted from 0")
      ->delimiter(',')
      ->type_name("I,J,...");
  cmd->add_option("--top", flags->top, "classes per image")->capture_default_str()->check(CLI::PositiveNumber);
  flags->image.add(*cmd, "the weights' own, else as their library");
  flags->device.add(*cmd);
  cmd->add_flag("--json", flags->json, "prints one JSON object");
  cmd->callback([&chosen, flags] { chosen = [flags] { return run(*flags); }; });
}

}  // namespace shear::tool
