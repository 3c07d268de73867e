// A multi-layer perceptron: the smallest example of a model.
#pragma once
#include <deque>
#include <string>
#include <vector>

#include "shear/api.h"
#include "shear/nn.h"

namespace SHEAR_API shear {

class Mlp {
 public:
  // widths: in, hidden ..., classes; at least two.  ReLU between layers.  Parameters are fc0.weight, fc0.bias, fc1...
  Mlp(Device&, const std::vector<int64_t>& widths, uint64_t seed);

  // x (B, ...) with widths[0] values each -> logits (B, classes).
  Tensor operator()(Tape&, const Tensor& x);

  Parameters& parameters() { return parameters_; }

 private:
  Parameters parameters_;
  std::vector<std::string> relu_sites_;
  std::vector<Linear> layers_;
};

}  // namespace shear
