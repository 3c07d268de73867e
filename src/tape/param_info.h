// What a policy is told of a parameter.
#pragma once
#include "shear/tensor.h"
#include "shear/verdict.h"

namespace shear {

inline ParamInfo info(const Param& p) { return {p.name, p.value.shape(), p.block, p.low_rank}; }

}  // namespace shear
