// A model from a weight file, ready to run.
#include "model.h"

#include "output.h"

namespace shear::tool {

void WeightFlags::add(CLI::App& app) {
  app.add_option("--weights", weights, "safetensors by Shear, timm or Hugging Face, or Google's .npz")
      ->required()
      ->type_name("FILE");
  app.add_option("--model", model, "where the weights do not say")->default_str("the weights' own")->type_name("NAME");
  add_loading(app, positions, strict);
}

LoadedModel::LoadedModel(std::unique_ptr<Backend> backend, std::unique_ptr<const Weights> w, const VitConfig& config,
                         ModelCard c)
    : device(std::move(backend)),
      weights(std::move(w)),
      model(device, config, 0, Values::undefined),
      card(std::move(c)) {}

std::unique_ptr<LoadedModel> load_model(const WeightFlags& flags, const ImageFlags& images, const DeviceFlags& device) {
  std::unique_ptr<Backend> backend = device.make();
  LoadOptions options{.matching = Matching::exact, .positions = {}, .strict = flags.strict};
  if (!flags.positions.empty()) options.positions = parse_position_resize(flags.positions);
  auto weights = std::make_unique<const Weights>(flags.weights);
  const ImageOptions image = images.read();
  const VitConfig config = weights->model(flags.model, image.size.value_or(0));
  ModelCard card{spec(config), weights->class_names(), weights->preprocess(config)};
  if (static_cast<int64_t>(card.classes.size()) != config.classes) card.classes.clear();
  apply(image, card.preprocess);
  for (const std::string& line : weights->describe(config, card.preprocess)) say(line);
  auto loaded = std::make_unique<LoadedModel>(std::move(backend), std::move(weights), config, std::move(card));
  const WeightsReport report = load_weights(*loaded->weights, loaded->model.parameters(), options);
  if (!report.positions.empty()) say("position embeddings: " + report.positions);
  if (!report.unused.empty())
    say(text("warning: ", flags.weights, ": ", report.unused.size(), " tensors are not used, the first is ",
             report.unused.front()));
  return loaded;
}

std::string class_name(const ModelCard& card, int64_t index) {
  return card.classes.empty() ? text("class ", index) : card.classes[static_cast<size_t>(index)];
}

std::vector<int> labels_for(const LoadedModel& loaded, const Dataset& data) {
  if (!loaded.card.classes.empty()) return match_classes(data.classes(), loaded.card.classes);
  const int64_t own = loaded.model.config().classes, found = static_cast<int64_t>(data.classes().size());
  if (found > own)
    fail(Fault::input, "the data has ", found, " classes, the model ", own,
         ", and the weights do not name them; expected at most as many");
  return {};
}

}  // namespace shear::tool
