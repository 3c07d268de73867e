// What a recipe comes to once data and weights are open: the model, its preprocessing, the plan.
#pragma once
#include "train/checkpoint.h"

namespace shear {

struct Setup {
  DataSplits data;
  ModelSpecPtr model;
  ModelCard card;
  Loader::Options training, evaluation;
  PlanOptions plan_options;
  int64_t per_epoch = 0, steps = 0, eval_every = 0, checkpoint_every = 0;
  CosineSchedule schedule;
  StepOptions step;
  std::unique_ptr<const Weights> weights;  // null: from scratch
  size_t in_flight = 0;                    // bytes of the batches that the loaders hold, in host memory
  std::vector<std::string> warnings;       // such as what changed since the checkpoint, a sentence each
};

// The recipe is resolved.  `stored`: what the checkpoint of a resumed run says; the weights that the run began with are
// then not read again, and `progress` is brought in line with the data that is there now.  Throws Fault::input and
// Fault::usage with a sentence for whatever does not fit together.
Setup prepare(const Recipe&, const RunOptions&, const ModelCard* stored, Progress& progress);

// The weights that a run begins with, where it does not begin from scratch; they are closed then.  Says what became of
// them.
void load_first_weights(Setup&, const Recipe&, Parameters&, TrainObserver&);

std::string mib(size_t bytes);  // "1.5 MiB", for a sentence

// Turns on what it takes of lower_floor, in the recipe too; says what.  Throws Fault::memory where that does not do.
std::string keep_within(Setup&, Recipe&, size_t budget, const MeasuredBlocks*);

// Plans the step; throws Fault::memory where it does not fit in the limit, or, with what is in flight beside it, in
// what the machine has left, saying what would.  Who gives a limit decides: a machine that has less is a warning then.
// What is left beside all that is for images that are being decoded.
Plan plan_within(Setup&, size_t memory_limit);

}  // namespace shear
