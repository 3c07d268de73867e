// The trainings that `shear compare` is made of: each is a process of its own, so that its memory is counted alone.
#pragma once
#include <nlohmann/json.hpp>

#include "recipe_flags.h"

namespace shear::tool {

struct ComparedRun {
  std::string policy;  // as the tables name it: "lean", "full (from scratch)"
  Recipe recipe;       // resolved
  std::filesystem::path directory;
  nlohmann::ordered_json summary;  // once it is done
  GradientCosine cosine;
  bool counts = true;  // else it tried a learning rate, and is in no mean
  bool lost = false;   // it tried a rate at which its loss is not finite: it has no summary
};

// How far the run in a directory is.  Throws Fault::usage where it began with another recipe, naming the first flag.
enum class Standing { nothing, half, done };
Standing standing(const ComparedRun&, bool overwrite);

// `shear train` for the run, from where it stands.  Its exit status; what it has to say is on stderr.
int train_apart(const ComparedRun&, const RecipeFlags&, Standing);
// Whether a training that began at `began` ended where its loss was not finite.
bool was_not_finite(const ComparedRun&, std::filesystem::file_time_type began);

// The summary of a run that is done.  Throws Fault::input where the file does not hold what the tables are made of.
void read_summary(ComparedRun&);

// The gradient's cosine of a run that is done, from its directory where it is known.  False: interrupted.
bool find_cosine(ComparedRun&, const CosineOptions&);

}  // namespace shear::tool
