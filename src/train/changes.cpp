// What may be another thing when a run goes on: its data, and its length.
#include "train/changes.h"

#include <cmath>
#include <cstdio>

namespace shear {

namespace {

std::string fingerprint_of(const Dataset* data) {
  if (!data) return {};
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(fingerprint(*data)));
  return digits;
}

int64_t size_of(const Dataset* data) { return data ? data->size() : 0; }

}  // namespace

int64_t steps_of(const Recipe& recipe, int64_t per_epoch, const Progress& p) {
  if (recipe.steps) return *recipe.steps;
  int64_t steps = 0;
  const double left = std::max(0., static_cast<double>(*recipe.epochs) - p.epochs_before);
  const bool fits = p.first_step == 0 ? !__builtin_mul_overflow(*recipe.epochs, per_epoch, &steps)
                                      : left * static_cast<double>(per_epoch) < 0x1p62;
  if (!fits)
    fail(Fault::usage, setting("epochs"), " ", *recipe.epochs, ": of ", per_epoch, " steps each are too many to count");
  return p.first_step == 0 ? steps : p.first_step + std::llround(left * static_cast<double>(per_epoch));
}

std::vector<std::string> note_changes(Progress& p, const DataSplits& data, const Recipe& recipe) {
  std::vector<std::string> changes;
  const auto compare = [&](const char* part, int64_t samples, const std::string& before, const Dataset* now) {
    const int64_t found = size_of(now);
    if (found != samples)
      changes.push_back(text(recipe.data, ": ", found, ' ', part, " images, where the run had ", samples));
    else if (const std::string print = fingerprint_of(now); !before.empty() && !print.empty() && print != before)
      changes.push_back(text(recipe.data, ": the ", part,
                             " images are not those that the run had: as many, with other names or sizes"));
  };
  compare("training", p.train_samples, p.train_data, data.train.get());
  compare("validation", p.val_samples, p.val_data, data.val.get());
  if (size_of(data.train.get()) != p.train_samples) {
    const int64_t per_epoch = std::max<int64_t>(1, p.train_samples / recipe.batch), done = p.step - p.first_step;
    p.epochs_before += static_cast<double>(done) / static_cast<double>(per_epoch);
    p.first_epoch += (done + per_epoch - 1) / per_epoch;
    p.first_step = p.step;
    changes.push_back(text("it goes on with them: an epoch in an order of its own begins after step ", p.step));
  }
  if (!changes.empty() && recipe.read.val_share > 0)
    changes.push_back(text("the images held out of them (", setting("val-share"),
                           ") are drawn anew, so that some may have been trained on before"));
  return changes;
}

void note_data(Progress& p, const DataSplits& data) {
  p.train_samples = size_of(data.train.get());
  p.val_samples = size_of(data.val.get());
  p.train_data = fingerprint_of(data.train.get());
  p.val_data = fingerprint_of(data.val.get());
}

bool may_go_on(const Recipe& before, const Recipe& now) {
  Recipe same = now;
  same.data = before.data;
  same.val = before.val;
  same.epochs = before.epochs;
  same.steps = before.steps;
  return to_json(same) == to_json(before);
}

}  // namespace shear
