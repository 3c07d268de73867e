// A model from a weight file, ready to run.
#pragma once
#include "options.h"

namespace shear::tool {

struct LoadedModel {
  LoadedModel(std::unique_ptr<Backend>, const VitConfig&, ModelCard);

  Device device;
  Vit model;
  ModelCard card;
};

// `model`: what the file is for, where it does not say so itself.  Every parameter must be there.
std::unique_ptr<LoadedModel> load_model(const std::string& weights, const std::string& model, const ImageFlags&,
                                        const DeviceFlags&);

std::string class_name(const ModelCard&, int64_t index);  // "class 7" where names are not known

// The model's class for each class of the data; empty where the model does not know names: by index then.
std::vector<int> labels_for(const LoadedModel&, const Dataset&);

}  // namespace shear::tool
