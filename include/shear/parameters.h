// The parameters of a model: named values with their gradients.
//
// For one thread at a time, as their device is: a tape's backward, an optimizer and whoever reads them take turns.
#pragma once
#include <deque>
#include <string>
#include <string_view>

#include "shear/api.h"
#include "shear/device.h"

namespace SHEAR_API shear {

// As timm: trunc_normal has std 0.02 and is cut at two std, normal has std 0.1 and tiny_normal 1e-6, layer_scale is
// 1e-5; frequencies are those of rotary positions in turned axes, (2, layers, heads, half a head).
enum class Init : uint8_t { zeros, ones, trunc_normal, normal, tiny_normal, layer_scale, frequencies };

// What the values of new parameters are: drawn, or, where a file will give most of them, not yet anything.
enum class Values : bool { drawn, undefined };

// The parameters of a model, in the order of their making, which is timm's.  Addresses are stable.
class Parameters {
 public:
  // Values come from (seed, name) alone, so that a model's other parts do not change them.
  Parameters(Device& device, uint64_t seed, Values values = Values::drawn)
      : device_(device), seed_(seed), values_(values) {}
  Parameters(const Parameters&) = delete;

  Param& add(std::string name, const Shape&, Init, bool decay);
  void set_block(int block) { block_ = block; }  // of what is added from here on; -1: of none
  Parameters& head() {                           // what is added from here on is the model's head: see Param::head
    in_head_ = true;
    return *this;
  }
  void draw(Param&);  // as `add` does where values are drawn
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
  Values values_;
  int block_ = -1;
  bool in_head_ = false;
  std::deque<Param> params_;
  std::deque<Init> inits_;  // as params_
};

}  // namespace shear
