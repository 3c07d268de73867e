// What an optimizer keeps beside each parameter.
#pragma once
#include <array>

#include "shear/backend.h"
#include "shear/error.h"
#include "shear/optim.h"

namespace shear {

// A tensor of zeros of the parameter's shape, counted as optimizer state.
inline Tensor zeros_like(Device& device, const Param& p) {
  require(device.owns(p.value), "optimizer: parameter ", p.name, " lies on another device");
  Tensor t = device.empty(p.value.shape(), Category::optimizer);
  device.run().fill(t, 0);
  return t;
}

// A parameter with its group's settings, and `count` tensors of its shape.
template <size_t count>
struct Kept {
  Param* param;
  float weight_decay, lr_scale;
  std::array<Tensor, count> tensors;
};

// In the order of the groups.
template <size_t count>
std::vector<Kept<count>> keep(Device& device, const std::vector<ParamGroup>& groups) {
  std::vector<Kept<count>> all;
  for (const ParamGroup& g : groups)
    for (Param* p : g.params) {
      Kept<count>& kept = all.emplace_back(Kept<count>{p, g.weight_decay, g.lr_scale, {}});
      for (Tensor& t : kept.tensors) t = zeros_like(device, *p);
    }
  return all;
}

// For checkpoints: "momentum.blocks.0.attn.qkv.weight".
template <size_t count>
std::vector<StateTensor> state_of(const std::vector<Kept<count>>& all, const std::array<const char*, count>& names) {
  std::vector<StateTensor> state;
  for (const Kept<count>& kept : all)
    for (size_t i = 0; i < count; ++i) state.push_back({text(names[i], '.', kept.param->name), kept.tensors[i]});
  return state;
}

}  // namespace shear
