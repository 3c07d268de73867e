// Results that take the place of what an op was given.
#pragma once
#include "shear/tape.h"

namespace shear {

// A new value as large as x, to be written: in x's own bytes where nobody else holds them.
inline Tensor over(Tape& tape, const Tensor& x) { return x.storage().unique() ? x.renamed() : tape.empty(x.shape()); }

}  // namespace shear
