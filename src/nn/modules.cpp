// Linear and LayerNorm as modules.
#include "shear/nn.h"

namespace shear {

Linear::Linear(Parameters& parameters, const std::string& name, int64_t in, int64_t out, Init init)
    : site_(name),
      weight_(&parameters.add(name + ".weight", {out, in}, init, true)),
      bias_(&parameters.add(name + ".bias", {out}, Init::zeros, false)) {}

Tensor Linear::operator()(Tape& tape, const Tensor& x, Tensor onto) const {
  return linear(tape, site_, x, *weight_, bias_, std::move(onto));
}

LayerNorm::LayerNorm(Parameters& parameters, const std::string& name, int64_t dim, float epsilon)
    : site_(name),
      gamma_(&parameters.add(name + ".weight", {dim}, Init::ones, false)),
      beta_(&parameters.add(name + ".bias", {dim}, Init::zeros, false)),
      epsilon_(epsilon) {}

Tensor LayerNorm::operator()(Tape& tape, const Tensor& x) const {
  return layernorm(tape, site_, x, *gamma_, *beta_, epsilon_);
}

}  // namespace shear
