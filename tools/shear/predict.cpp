// shear predict
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "command.h"
#include "model.h"
#include "numbers.h"
#include "output.h"
#include "table.h"

namespace shear::tool {

namespace {

struct PredictFlags {
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
std::vector<Guess> predict(LoadedModel& loaded, const std::string& name, const Image& image) {
  const Preprocess& p = loaded.card.preprocess;
  const Shape shape{1, p.channels, p.image, p.image};
  std::vector<float> pixels(static_cast<size_t>(shape.elements()));
  prepare_named(name, image, p, pixels.data());
  Tape tape(loaded.device);
  const Tensor x = loaded.device.upload(shape, Category::workspace, pixels);
  const std::vector<float> logits = loaded.device.download((*loaded.model)(tape, x));
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
  std::string error;  // why there are none
};

// Files, and the images of folders.
std::vector<std::filesystem::path> named_images(const std::vector<std::string>& names) {
  std::vector<std::filesystem::path> images;
  for (const std::string& name : names) {
    std::error_code error;
    if (std::filesystem::is_directory(name, error))
      for (std::filesystem::path& image : images_below(name)) images.push_back(std::move(image));
    else
      images.emplace_back(name);
  }
  return images;
}

class Predictor {
 public:
  Predictor(LoadedModel& loaded, int64_t top)
      : loaded_(loaded), top_(static_cast<size_t>(std::min(top, loaded.spec->classes()))) {}

  // An image that cannot be read is told of, and does not keep the others from their rows.
  void add(const std::string& image, const std::string& truth, const std::function<Image()>& read) {
    Prediction& p = all_.emplace_back(Prediction{image, truth, {}, {}});
    try {
      p.guesses = predict(loaded_, image, read());
      p.guesses.resize(top_);
    } catch (const Error& error) {
      if (error.fault() != Fault::input) throw;
      p.error = error.what();
      broken_.push_back(p.error);
    }
  }

  void print_json() const {
    nlohmann::ordered_json j{{"predictions", nlohmann::ordered_json::array()}};
    for (const Prediction& p : all_) {
      nlohmann::ordered_json one{{"image", p.image}};
      if (!p.truth.empty()) one["truth"] = p.truth;
      if (!p.error.empty()) one["error"] = p.error;
      for (const Guess& g : p.guesses)
        one["classes"].push_back({{"class", class_name(loaded_.card, g.index)}, {"probability", g.probability}});
      j["predictions"].push_back(std::move(one));
    }
    tool::print_json(j);
  }

  void print_table() const {
    if (broken_.size() == all_.size()) return;
    const bool truths = std::any_of(all_.begin(), all_.end(), [](const Prediction& p) { return !p.truth.empty(); });
    std::vector<std::string> header{"image"};
    if (truths) header.push_back("true class");
    header.insert(header.end(), {"class", "probability"});
    Table table(header);
    for (const Prediction& p : all_)
      for (size_t k = 0; k < p.guesses.size(); ++k) {
        std::vector<std::string> row{k == 0 ? p.image : ""};
        if (truths) row.push_back(k == 0 ? p.truth : "");
        row.push_back(class_name(loaded_.card, p.guesses[k].index));
        row.push_back(fixed(p.guesses[k].probability, 4));
        table.add(std::move(row));
      }
    std::cout << table;
  }

  // At the end, so that what could be read is there.
  void refuse_broken() const {
    if (broken_.empty()) return;
    if (all_.size() == 1) fail(Fault::input, broken_.front());
    for (const std::string& sentence : broken_) say(sentence);
    fail(Fault::input, broken_.size(), " of ", all_.size(), " images cannot be read, the first is ", broken_.front());
  }

 private:
  LoadedModel& loaded_;
  size_t top_;
  std::vector<Prediction> all_;
  std::vector<std::string> broken_;
};

int run_predict(const PredictFlags& flags) {
  if (flags.data.data.empty() != flags.indices.empty())
    fail(Fault::usage, "--data and --index name images together, expected both or none");
  if (flags.images.empty() && flags.indices.empty())
    fail(Fault::usage, "no image is named, expected files or folders, or --data PATH --index I,J,...");
  const std::vector<std::filesystem::path> images = named_images(flags.images);
  const auto loaded = load_model(flags.weights, flags.image, flags.device);
  expect_square(*loaded->spec);
  Predictor predictor(*loaded, flags.top);
  for (const std::filesystem::path& path : images) predictor.add(path.string(), "", [&] { return decode_image(path); });
  if (!flags.data.data.empty()) {
    const DataSplits data = flags.data.open(flags.weights.weights);
    const Dataset& part = choose_part(data, flags.part, flags.data.data);
    for (int64_t i : flags.indices) {
      require_index(part, i, flags.data.data);
      predictor.add(part.describe(i), part.classes()[static_cast<size_t>(part.label(i))], [&] { return part.read(i); });
    }
  }
  if (flags.json)
    predictor.print_json();
  else
    predictor.print_table();
  predictor.refuse_broken();
  return 0;
}

}  // namespace

void add_predict(CLI::App& app, Run& chosen) {
  auto flags = std::make_shared<PredictFlags>();
  CLI::App* cmd = app.add_subcommand("predict", "class names with probabilities for images");
  cmd->add_option("IMAGE", flags->images, "JPEG, PNG, WebP, GIF, BMP or TIFF files, or folders of them");
  flags->weights.add(*cmd);
  flags->data.add_data(*cmd, "takes images from a data set instead");
  offer_parts(cmd->add_option("--part", flags->part, "train, val or test")->default_str("val where there is one"));
  add_indices(*cmd, "--index", flags->indices, "which of its images, counted from 0");
  add_number(*cmd, "--top", flags->top, {1, 1e6}, "classes per image");
  flags->image.add(*cmd, "the weights' own, else as their library");
  flags->device.add(*cmd);
  cmd->add_flag("--json", flags->json, "prints one JSON object");
  cmd->footer(example("shear predict --weights run/model.safetensors cat.jpg dog.jpg"));
  cmd->callback([&chosen, flags] { chosen = [flags] { return run_predict(*flags); }; });
}

}  // namespace shear::tool
