// Modules: named parameters and the ops that use them.
#pragma once
#include <string>

#include "shear/api.h"
#include "shear/ops.h"
#include "shear/parameters.h"

namespace SHEAR_API shear {

class Linear {
 public:
  enum class Bias : bool { no, yes };
  Linear(Parameters&, const std::string& name, int64_t in, int64_t out, Init = Init::trunc_normal, Bias = Bias::yes);
  // (..., in) -> (..., out)
  Tensor operator()(Tape&, const Tensor& x, Tensor onto = {}, Param* scale = nullptr) const;
  Param& weight() const { return *weight_; }
  Param* bias() const { return bias_; }  // null: it has none

 private:
  std::string site_;
  Param *weight_, *bias_;
  const LowRank* low_rank_;  // null: none
  std::string sites_[2];     // its two products
};

// LayerNorm, or RMSNorm, which has no bias.
class Norm {
 public:
  enum class Kind : bool { layer, rms };
  Norm(Parameters&, const std::string& name, int64_t dim, float epsilon, Kind = Kind::layer);
  Tensor operator()(Tape&, const Tensor& x) const;

 private:
  std::string site_;
  Param *gamma_, *beta_;
  float epsilon_;
};

// What a forward pass needs to know beside its input.
struct ForwardContext {
  uint64_t seed = 0;
  int64_t step = 0;  // names the dropout streams: optimizer step and micro-batch
};

}  // namespace shear
