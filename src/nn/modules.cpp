// Linear layers and norms as modules.
#include "shear/nn.h"

namespace shear {

Linear::Linear(Parameters& parameters, const std::string& name, int64_t in, int64_t out, Init init, Bias bias)
    : site_(name),
      weight_(&parameters.add(name + ".weight", {out, in}, init, true)),
      bias_(bias == Bias::yes ? &parameters.add(name + ".bias", {out}, Init::zeros, false) : nullptr),
      low_rank_(parameters.adapt(name, *weight_)) {
  if (low_rank_) sites_[0] = name + ".lora_a", sites_[1] = name + ".lora_b";
}

Tensor Linear::operator()(Tape& tape, const Tensor& x, Tensor onto, Param* scale) const {
  Tensor y = linear(tape, site_, x, *weight_, bias_, std::move(onto), scale);
  if (!low_rank_) return y;
  Tensor h = linear(tape, sites_[0], x, *low_rank_->a, nullptr);
  if (low_rank_->scale != 1) h = scaled(tape, sites_[0], std::move(h), low_rank_->scale);
  return linear(tape, sites_[1], h, *low_rank_->b, nullptr, std::move(y), scale);
}

Norm::Norm(Parameters& parameters, const std::string& name, int64_t dim, float epsilon, Kind kind)
    : site_(name),
      gamma_(&parameters.add(name + ".weight", {dim}, Init::ones, false)),
      beta_(kind == Kind::layer ? &parameters.add(name + ".bias", {dim}, Init::zeros, false) : nullptr),
      epsilon_(epsilon) {}

Tensor Norm::operator()(Tape& tape, const Tensor& x) const {
  return beta_ ? layernorm(tape, site_, x, *gamma_, *beta_, epsilon_) : rmsnorm(tape, site_, x, *gamma_, epsilon_);
}

}  // namespace shear
