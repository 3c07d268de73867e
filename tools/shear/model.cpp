// A model from a weight file, ready to run.
#include "model.h"

#include "output.h"

#include "shear/utf8.h"

namespace shear::tool {

void WeightFlags::add(CLI::App& app) {
  app.add_option("--weights", weights, "safetensors or PyTorch's file by Shear, timm or Hugging Face, or Google's .npz")
      ->required()
      ->type_name("FILE");
  offer_models(app.add_option("--model", model, "where the weights do not say")
                   ->default_str("the weights' own")
                   ->type_name("NAME"));
  add_loading(app, positions, strict, allow_mismatch);
}

LoadedModel::LoadedModel(std::unique_ptr<Backend> backend, std::unique_ptr<const Weights> w, ModelSpecPtr s,
                         ModelCard c)
    : device(std::move(backend)),
      weights(std::move(w)),
      spec(std::move(s)),
      model(spec->make(device, 0, Values::undefined)),
      card(std::move(c)) {}

std::unique_ptr<LoadedModel> load_model(const WeightFlags& flags, const ImageFlags& images, const DeviceFlags& device) {
  std::unique_ptr<Backend> backend = device.make();
  LoadOptions options{.matching = Matching::exact, .positions = {}, .allow_mismatch = flags.allow_mismatch};
  if (!flags.positions.empty()) options.positions = parse_position_resize(flags.positions);
  auto weights = std::make_unique<const Weights>(flags.weights);
  const ImageOptions image = images.read();
  const ModelSpecPtr spec = weights->model(flags.model, image.size.value_or(0));
  ModelCard card{spec->str(), weights->class_names(), weights->preprocess(*spec)};
  if (static_cast<int64_t>(card.classes.size()) != spec->classes()) card.classes.clear();
  apply(image, card.preprocess);
  for (const std::string& line : weights->describe(*spec, card.preprocess)) say(line);
  auto loaded = std::make_unique<LoadedModel>(std::move(backend), std::move(weights), spec, std::move(card));
  WeightsReport report = load_weights(*loaded->weights, loaded->model->parameters(), options);
  if (const std::string guess = loaded->weights->heads_guess(*spec, flags.model); !guess.empty())
    report.warnings.push_back(guess);
  for (const std::string& note : report.notes) say(note);
  for (const std::string& warning : report.warnings) say("warning: " + warning);
  return loaded;
}

void prepare_named(const std::string& name, const Image& image, const Preprocess& p, float* chw) {
  try {
    prepare_eval(image, p, chw);
  } catch (const Error& e) {
    fail(e.fault(), name, ": ", e.what());
  }
}

std::string class_name(const ModelCard& card, int64_t index) {
  return card.classes.empty() ? text("class ", index) : card.classes[static_cast<size_t>(index)];
}

std::vector<int> labels_for(const LoadedModel& loaded, const Dataset& data) {
  if (!loaded.card.classes.empty()) return match_classes(data.classes(), loaded.card.classes);
  ClassMatch match = match_unnamed_classes(data.classes(), loaded.spec->classes());
  const std::string file = loaded.weights->path().string();
  if (match.by == ClassMatch::by_number)
    std::cerr << file << ": names no classes, and those of the data are numbers: class i is the one called so"
              << std::endl;
  else
    std::cerr << "warning: " << file
              << ": names no classes: class i of the weights is taken to be the i-th of the data's, "
              << "from " << printable(data.classes().front()) << " to " << printable(data.classes().back())
              << std::endl;
  return std::move(match.labels);
}

}  // namespace shear::tool
