// Whole values in short codes, each column with a range for some tokens: channels differ in size by more than tokens
// do.
#pragma once
#include "shear/verdict.h"

namespace shear {

// In floats there are no ranges, and nothing is rounded at random.
inline Pack by_columns(Code code, bool at_random, int group = usual_code_group) {
  const bool affine = format_of(code).scheme == Scheme::affine;
  return {.code = code, .stochastic = affine && at_random, .group = affine ? group : 0};
}

}  // namespace shear
