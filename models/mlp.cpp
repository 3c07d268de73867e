// Linear layers with ReLU between them.
#include "shear/models/mlp.h"

namespace shear {

std::vector<int64_t> MlpConfig::widths() const {
  std::vector<int64_t> all{channels * image * image};
  all.insert(all.end(), hidden.begin(), hidden.end());
  all.push_back(classes);
  return all;
}

Mlp::Mlp(Device& device, const std::vector<int64_t>& widths, uint64_t seed, const ParameterOptions& options)
    : parameters_(device, seed, options) {
  require(widths.size() >= 2, "mlp: expected at least an input and an output width, found ", widths.size());
  for (size_t i = 0; i + 1 < widths.size(); ++i) {
    const bool last = i + 2 == widths.size();
    layers_.emplace_back(last ? parameters_.head() : parameters_, "fc" + std::to_string(i), widths[i], widths[i + 1]);
    relu_sites_.push_back("relu" + std::to_string(i));
  }
}

Tensor Mlp::operator()(Tape& tape, const Tensor& x, const ForwardContext&) {
  const int64_t batch = x.shape()[0];
  Tensor h = x.reshaped({batch, batch > 0 ? x.elements() / batch : 0});
  for (size_t i = 0; i < layers_.size(); ++i) {
    h = layers_[i](tape, h);
    if (i + 1 < layers_.size()) h = relu(tape, relu_sites_[i], h);
  }
  return h;
}

}  // namespace shear
