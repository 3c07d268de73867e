// Modules: parameters with names, and the ops that use them.
#pragma once
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "shear/ops.h"

namespace shear {

enum class Init : uint8_t { zeros, ones, trunc_normal };  // trunc_normal: std 0.02, cut at two std, as timm

// The parameters of a model, in the order of their making, which is timm's.  Addresses are stable.
class Parameters {
 public:
  // Values come from (seed, name) alone, so that a model's other parts do not change them.
  Parameters(Device& device, uint64_t seed) : device_(device), seed_(seed) {}
  Parameters(const Parameters&) = delete;

  Param& add(std::string name, const Shape&, Init, bool decay);
  Param* find(std::string_view name);

  auto begin() { return params_.begin(); }
  auto end() { return params_.end(); }
  auto begin() const { return params_.begin(); }
  auto end() const { return params_.end(); }
  size_t size() const { return params_.size(); }
  int64_t elements() const;

  // Gradient buffers for every trainable parameter that lacks one.
  void make_gradients();
  void forget_gradients();  // the next backward overwrites
  Device& device() const { return device_; }

 private:
  Device& device_;
  uint64_t seed_;
  std::deque<Param> params_;
};

class Linear {
 public:
  Linear(Parameters&, const std::string& name, int64_t in, int64_t out, Init = Init::trunc_normal);
  Tensor operator()(Tape&, const Tensor& x) const;  // (..., in) -> (..., out)
  Param& weight() const { return *weight_; }
  Param& bias() const { return *bias_; }

 private:
  std::string site_;
  Param *weight_, *bias_;
};

class LayerNorm {
 public:
  LayerNorm(Parameters&, const std::string& name, int64_t dim, float epsilon);
  Tensor operator()(Tape&, const Tensor& x) const;

 private:
  std::string site_;
  Param *gamma_, *beta_;
  float epsilon_;
};

// What a forward pass needs to know beside its input.
struct ForwardContext {
  uint64_t seed = 0;
  int64_t step = 0;    // names the dropout streams: optimizer step and micro-batch
};

}  // namespace shear
