// The flags that say how a model is trained, for the commands that train.
#pragma once
#include "options.h"

namespace shear::tool {

struct RecipeFlags {
  Recipe recipe;
  ImageFlags image;
  std::string memory_limit;
  DeviceFlags device;
  int loader_threads = 1;

  void add_model(CLI::App&);     // --data, --val, --model, --weights
  void add_training(CLI::App&);  // optimization, preprocessing, how often to evaluate
  void add_running(CLI::App&);   // where and how it runs

  Recipe read() const;  // with absolute paths
};

// The recipe as flags of `shear train`: what it does not say is left out.
std::vector<std::string> to_flags(const Recipe&);

}  // namespace shear::tool
