// What an optimizer keeps beside each parameter.
#pragma once
#include <algorithm>
#include <array>
#include <utility>

#include "shear/backend.h"
#include "shear/error.h"
#include "shear/optim.h"

namespace shear {

// A number beside each element of a parameter, counted as optimizer state.  Zeros at first.
struct Moment {
  Tensor values;  // f32, or codes
  Tensor scales;  // of codes
  Moment(Device&, const Param&, StateAs, uint8_t zero);
  bool coded() const { return static_cast<bool>(scales); }
};

// A parameter with its group's settings, and `count` numbers beside each element.
template <size_t count>
struct Kept {
  Param* param;
  float weight_decay, lr_scale;
  std::array<Moment, count> moments;
};

// The name of a moment in checkpoints, and its code for zero.
struct MomentName {
  const char* name;
  uint8_t zero;
};
inline constexpr uint8_t signed_zero = 127, unsigned_zero = 0;

// An optimizer that keeps `count` moments of each parameter: "momentum.blocks.0.attn.qkv.weight" in checkpoints, and
// "momentum_scales.blocks.0.attn.qkv.weight" where it is in codes.
template <size_t count>
class Keeping : public Optimizer {
 public:
  using Optimizer::step;

  void step(const Update& u) final {
    for (Kept<count>& k : kept_)
      if (std::exchange(k.param->writes, 0) > 0) apply(u, k, k.param->grad);
  }
  void update(const Update& u, Param& p, const Tensor& gradient) final {
    const auto at = std::find_if(kept_.begin(), kept_.end(), [&](const Kept<count>& k) { return k.param == &p; });
    require(at != kept_.end(), name(), ": ", p.name, " is in no group");
    apply(u, *at, gradient);
  }
  std::vector<StateTensor> state() final {
    std::vector<StateTensor> state;
    for (const Kept<count>& kept : kept_)
      for (size_t i = 0; i < count; ++i) {
        const Moment& m = kept.moments[i];
        state.push_back({text(names_[i].name, '.', kept.param->name), m.values});
        if (m.coded()) state.push_back({text(names_[i].name, "_scales.", kept.param->name), m.scales});
      }
    return state;
  }

 protected:
  Keeping(Device& device, const std::vector<ParamGroup>& groups, StateAs as, std::array<MomentName, count> names)
      : device_(device), names_(names) {
    const auto moments = [&]<size_t... i>(const Param& p, std::index_sequence<i...>) {
      return std::array<Moment, count>{Moment(device, p, as, names[i].zero)...};
    };
    for (const ParamGroup& g : groups)
      for (Param* p : g.params)
        kept_.push_back({p, g.weight_decay, g.lr_scale, moments(*p, std::make_index_sequence<count>())});
  }
  virtual void apply(const Update&, Kept<count>&, const Tensor& gradient) = 0;
  Backend& run() { return device_.run(); }
  // The stream of a step for one of the parameters.
  StreamKey stream(uint64_t seed, Purpose purpose, int64_t step, const Kept<count>& k) const {
    return {seed, static_cast<uint32_t>(purpose), static_cast<uint32_t>(step),
            static_cast<uint32_t>(&k - kept_.data())};
  }
  WeightView weights(uint64_t seed, int64_t step, const Kept<count>& k) const {
    Param& p = *k.param;
    return {p.value, p.fine ? View(p.fine) : View(), stream(seed, Purpose::weights, step, k)};
  }

 private:
  Device& device_;
  std::array<MomentName, count> names_;
  std::vector<Kept<count>> kept_;  // in the order of the groups
};

}  // namespace shear
