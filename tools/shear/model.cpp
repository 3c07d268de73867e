// A model from a weight file, ready to run.
#include "model.h"

#include <iostream>

namespace shear::tool {

LoadedModel::LoadedModel(std::unique_ptr<Backend> backend, const VitConfig& config, ModelCard c)
    : device(std::move(backend)), model(device, config, 0), card(std::move(c)) {}

// "vit_base_patch16_224" says nothing about classes: the file's head does.
static VitConfig config_for(const std::string& spec, const SafeTensors& file) {
  if (spec.find("classes=") != std::string::npos) return parse_vit(spec);
  const TensorView* head = file.find("head.weight");
  if (!head || head->shape.rank() != 2) return parse_vit(spec);
  return parse_vit(text(spec, spec.find(':') == std::string::npos ? ":" : ",", "classes=", head->shape[0]));
}

std::unique_ptr<LoadedModel> load_model(const std::string& weights, const std::string& model, const ImageFlags& images,
                                        const DeviceFlags& device) {
  std::unique_ptr<Backend> backend = device.make();
  const SafeTensors file(weights);
  const std::optional<ModelCard> card = read_card(file);
  if (!card && model.empty())
    fail(Fault::usage, "--model is missing: ", weights,
         " does not say what it is for, expected a name such as vit_tiny_patch16_224");
  const VitConfig config = config_for(model.empty() ? card->model : model, file);
  ModelCard now = card.value_or(ModelCard{spec(config), {}, default_preprocess(config)});
  now.model = spec(config);
  now.preprocess.image = static_cast<int>(config.image);
  now.preprocess.channels = static_cast<int>(config.channels);
  if (static_cast<int64_t>(now.classes.size()) != config.classes) now.classes.clear();
  apply(images.read(), now.preprocess);
  auto loaded = std::make_unique<LoadedModel>(std::move(backend), config, std::move(now));
  const WeightsReport report = load_weights(file, loaded->model.parameters(), Matching::exact);
  if (!report.unused.empty())
    std::cerr << "warning: " << weights << ": " << report.unused.size() << " tensors are not used, the first is "
              << report.unused.front() << std::endl;
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
