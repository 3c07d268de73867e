// All of a training's state in one file.
#pragma once
#include "shear/train.h"

namespace shear {

// Where a training stands, beside its tensors.  No clock is in it: equal runs write equal bytes.
struct Progress {
  int64_t step = 0, steps = 0;    // done, of
  int64_t evaluated_step = 0;     // the last one after which the validation part was evaluated
  double accuracy = 0, loss = 0;  // found then
  double best_accuracy = -1;      // -1: none yet
  int64_t best_step = 0;
  int64_t train_samples = 0, val_samples = 0;  // of the data that it began with
  int threads = 0;
};

struct CheckpointInfo {
  ModelCard card;
  Recipe recipe;
  Progress progress;
};

void save_checkpoint(const std::filesystem::path&, const Parameters&, Optimizer&, MemoryPolicy&, const CheckpointInfo&);
CheckpointInfo read_checkpoint_info(const SafeTensors&);
// Throws Fault::input where anything is missing or has another shape.
void load_checkpoint(const SafeTensors&, Parameters&, Optimizer&, MemoryPolicy&);
void load_policy_state(const SafeTensors&, MemoryPolicy&);  // that part alone

// Weights alone, with the card and where they come from.
void save_result(const std::filesystem::path&, const Parameters&, const CheckpointInfo&);

}  // namespace shear
