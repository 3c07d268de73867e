// shear compare --gradients-only: what policies do to the gradient of weights as they are.
#pragma once
#include "recipe_flags.h"

namespace shear::tool {

// What every comparison is told.
struct Comparison {
  RecipeFlags recipe;
  std::string policies = "full;lean", out;
  int64_t cosine_batches = 4;
  bool json = false;
};

void make_directory(const std::filesystem::path&);  // none where nothing is named

// The exit status.
int compare_gradients(const Comparison&);
int compare_blocks(const Comparison&);  // codes, one block at a time

}  // namespace shear::tool
