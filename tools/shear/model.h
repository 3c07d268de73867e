// A model from a weight file, ready to run.
#pragma once
#include "options.h"

namespace shear::tool {

// What a command is told of the weights that it runs.
struct WeightFlags {
  std::string weights, model, positions;
  bool strict = false, allow_mismatch = false;

  void add(CLI::App&);
};

struct LoadedModel {
  LoadedModel(std::unique_ptr<Backend>, std::unique_ptr<const Weights>, ModelSpecPtr, ModelCard);

  Device device;
  std::unique_ptr<const Weights> weights;
  ModelSpecPtr spec;
  std::unique_ptr<Model> model;
  ModelCard card;
};

// Every parameter must be there.  Says on stderr where names and preprocessing come from, and what is not needed.
std::unique_ptr<LoadedModel> load_model(const WeightFlags&, const ImageFlags&, const DeviceFlags&);

// prepare_eval, whose sentences begin with what the image is called.
void prepare_named(const std::string& name, const Image&, const Preprocess&, float* chw);

std::string class_name(const ModelCard&, int64_t index);  // "class 7" where names are not known

// The model's class for each class of the data, by name.  Where the weights do not name them, by number or position,
// which is told on stderr.
std::vector<int> labels_for(const LoadedModel&, const Dataset&);

}  // namespace shear::tool
