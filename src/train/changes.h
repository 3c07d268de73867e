// What may be another thing when a run goes on: its data, and its length.
#pragma once
#include "train/checkpoint.h"

namespace shear {

// The steps of a run in all.  Epochs that were counted on other data count as they were.
int64_t steps_of(const Recipe&, int64_t per_epoch, const Progress&);

// What has changed in the data since the checkpoint, a sentence each.  Where another number of images trains, epochs
// are counted from here on, and the first one begins at once in an order of its own.
std::vector<std::string> note_changes(Progress&, const DataSplits&, const Recipe&);
void note_data(Progress&, const DataSplits&);  // from now on the run is of this data

// Whether a run that began with `before` may go on with `now`.
bool may_go_on(const Recipe& before, const Recipe& now);

}  // namespace shear
