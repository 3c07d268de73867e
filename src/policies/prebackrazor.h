// PreBackRazor's options, and its two forms: arms are the columns of each linear's input, or whole weight tensors.
#pragma once
#include "policies/bandit.h"
#include "policies/pruning.h"

namespace shear {

struct SamplingOptions {
  double sample;     // share of the arms that is kept
  int64_t period;    // steps between draws
  int64_t groups;    // of images, each with a draw of its own (columns)
  bool learn;        // whether the bandit moves the probabilities; else they stay uniform
  bool scale;        // whether what is kept is scaled by 1 / p
  bool skip_frozen;  // whether momentum and weight decay skip what was not drawn; else its gradient is zero
  bool bernoulli;    // arms drawn each by itself; else exactly as many
  bool tiled;        // PreBR++: attention recomputed from pruned q, k, v; else pruned probabilities
  BanditOptions bandit;
};

class PreBackRazor : public Pruning {
 public:
  PreBackRazor(PolicyKeys&, const SamplingOptions&);

  bool wants(Way way, const Place& at) const override {
    return way == Way::materialised_attention && !options_.tiled && at.in_block();
  }
  void begin_step(int64_t step) final;

 protected:
  // What was learnt in the period that ends, if anything, then a fresh draw.
  virtual void learn() = 0;
  virtual void draw() = 0;

  // Of what is sampled, so that 1 - prune of all is kept.
  Pack inside() const { return {.keep = std::min(1., keep() / options_.sample)}; }
  // The stream of one draw of this period.
  Stream stream(uint32_t arm) const { return {seed_, Purpose::policy, static_cast<uint64_t>(period_), high_bit + arm}; }
  bool observing() const { return options_.learn && first_of_period_; }

  const SamplingOptions options_;

 private:
  static constexpr uint32_t high_bit = 0x80000000u;  // the tape's streams, for rounding, do without it
  uint64_t seed_;
  int64_t period_ = -1;
  bool first_of_period_ = true;
};

// Whether a parameter is one of the weights that are sampled: matrices in blocks, but LoRA's.
bool is_sampled(const ParamInfo&);

std::unique_ptr<MemoryPolicy> make_sampled_columns(PolicyKeys&, const SamplingOptions&);
std::unique_ptr<MemoryPolicy> make_sampled_tensors(PolicyKeys&, const SamplingOptions&);

std::array<float, 5> quantiles(std::span<const float> p);

}  // namespace shear
