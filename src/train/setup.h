// What a recipe comes to once data and weights are open: the model, its preprocessing, the plan.
#pragma once
#include "shear/train.h"

namespace shear {

struct Setup {
  DataSplits data;
  VitConfig model;
  ModelCard card;
  Loader::Options training, evaluation;
  PlanOptions plan_options;
  int64_t per_epoch = 0, steps = 0, eval_every = 0, checkpoint_every = 0;
  CosineSchedule schedule;
  StepOptions step;
  std::unique_ptr<const Weights> weights;  // null: from scratch
};

// The recipe is resolved.  `stored`: what the checkpoint of a resumed run says; the weights that the run began with are
// then not read again.  Throws Fault::input and Fault::usage with a sentence for whatever does not fit together.
Setup prepare(const Recipe&, const RunOptions&, const ModelCard* stored);

// Plans the step; throws Fault::memory where it does not fit in the limit, with what would.
Plan plan_within(const PlanOptions&, size_t memory_limit);

}  // namespace shear
