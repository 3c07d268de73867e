// Putting a value to sleep in one of the lossy forms.  Sizes follow from shapes and verdicts alone.
#pragma once
#include "shear/saved.h"
#include "shear/tape.h"

namespace shear {

// Rows of one sample: all dimensions between the first and the last.
int64_t sample_rows(const Tensor& value);
size_t bytes_of(const Kept&);

// `parts`: tensors side by side in a row.  `free_part`: one that may lose its mean over the rows of each sample, and
// does in affine codes, which then span less, by row or where a group spans samples.
Packed pack_all(Tape&, const Tensor& value, const Pack&, const StreamKey& rounding, int64_t parts = 1,
                int free_part = -1);
Slopes pack_slopes(Tape&, const Tensor& value, Slope, Code);
Columns pack_top_columns(Tape&, const Tensor& value, const TopColumns&);
Columns pack_columns(Tape&, const Tensor& value, const SampleColumns&, const StreamKey& rounding);
Rows pack_rows(Tape&, const Tensor& value, const SampleRows&, const StreamKey& rounding);

}  // namespace shear
