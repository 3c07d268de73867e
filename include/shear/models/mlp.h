// A multi-layer perceptron: the smallest example of a model, and of a family of models.
#pragma once
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "shear/api.h"
#include "shear/model.h"

namespace SHEAR_API shear {

struct MlpConfig {
  int64_t image = 28, channels = 3, classes = 10;
  std::vector<int64_t> hidden;  // widths of the layers between the image and the logits

  std::vector<int64_t> widths() const;  // in, hidden ..., classes
  bool operator==(const MlpConfig&) const = default;
};

// "mlp:image=28,hidden=300x100[,channels=3][,classes=10]".  Throws Fault::usage naming the key, what was found and
// expected.
MlpConfig parse_mlp(std::string_view spec);
std::string spec(const MlpConfig&);  // parse_mlp(spec(c)) == c

ModelSpecPtr model_spec(const MlpConfig&);
ModelFamily mlp_family();

class Mlp final : public Model {
 public:
  // widths: in, hidden ..., classes; at least two.  ReLU between layers.  Parameters are fc0.weight, fc0.bias, fc1...
  Mlp(Device&, const std::vector<int64_t>& widths, uint64_t seed, const ParameterOptions& = {});

  // x (B, ...) with widths[0] values each -> logits (B, classes).
  Tensor operator()(Tape&, const Tensor& x, const ForwardContext& = {}) override;

  Parameters& parameters() override { return parameters_; }

 private:
  Parameters parameters_;
  std::vector<std::string> relu_sites_;
  std::vector<Linear> layers_;
};

}  // namespace shear
