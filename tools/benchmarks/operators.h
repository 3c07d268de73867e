// The operators of a ViT's training step, each with what it must do at the least.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "operands.h"
#include "shear/models/vit.h"

namespace shear::tool {

// One operator at one size.
struct Operator {
  std::string name;                                         // "fc1 forward"
  double flops;                                             // of its products; 0: it has none to speak of
  double bytes;                                             // read and written, each once
  std::function<std::function<void()>(Operands&)> prepare;  // makes operands, and what computes on them
};

// At the sizes that one block of this model has.
std::vector<Operator> operators_of(const VitConfig&, int64_t batch);

}  // namespace shear::tool
