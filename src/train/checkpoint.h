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
  int64_t train_samples = 0, val_samples = 0;  // of the data that it goes on with
  std::string train_data, val_data;            // fingerprints of their names and sizes; empty: not known
  int threads = 0;
  // Where that data came in: a run whose data changed counts its epochs from there, in an order drawn anew.
  int64_t first_step = 0, first_epoch = 0;
  double epochs_before = 0;
  std::optional<double> last_norm;  // of the gradient: what updates in backward are clipped by
};

struct CheckpointInfo {
  ModelCard card;
  Recipe recipe;
  Progress progress;
};

// Has checksums, and is read back before it takes its name; the file that stood there is kept as `previous` unless that
// is empty.
void save_checkpoint(const std::filesystem::path&, const Parameters&, Optimizer&, MemoryPolicy&, const CheckpointInfo&,
                     const std::filesystem::path& previous);
CheckpointInfo read_checkpoint_info(const SafeTensors&);

// The checkpoint `from`, or the last one of a run's directory where `from` is empty, once its checksums hold.  Throws
// Fault::input where they do not, or it is not there, naming the one before where that can be gone on from.
std::unique_ptr<SafeTensors> open_checkpoint(const std::filesystem::path& directory,
                                             const std::filesystem::path& from = {}, Verify = Verify::all);
// Throws Fault::input where anything is missing or has another shape.
void load_checkpoint(const SafeTensors&, Parameters&, Optimizer&, MemoryPolicy&);
void load_parameters(const SafeTensors&, Parameters&);  // these parts alone
void load_policy_state(const SafeTensors&, MemoryPolicy&);

// Weights alone, with the card and where they come from.
void save_result(const std::filesystem::path&, const Parameters&, const CheckpointInfo&);

}  // namespace shear
