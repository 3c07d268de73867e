// prebr and prebr++: what is kept of the linears' inputs is drawn before anything is pruned.  "Sheared Backpropagation
// for Fine-tuning Foundation Models", CVPR 2024, Algorithm and sections 7-8 of its supplement.
#include "policies/prebackrazor.h"

#include <algorithm>

namespace shear {

PreBackRazor::PreBackRazor(PolicyKeys& keys, const SamplingOptions& options)
    : Pruning(keys), options_(options), seed_(keys.seed()) {
  keys.done();
}

void PreBackRazor::begin_step(int64_t step) {
  const int64_t period = step / options_.period;
  first_of_period_ = step % options_.period == 0;
  if (period == period_) return;
  period_ = period;
  if (first_of_period_) learn();  // not where a run is resumed within a period
  draw();
}

bool is_sampled(const ParamInfo& p) {
  return p.block >= 0 && !p.low_rank && p.name.ends_with(".weight") && p.shape.rank() == 2;
}

std::array<float, 5> quantiles(std::span<const float> p) {
  std::vector<float> sorted(p.begin(), p.end());
  std::sort(sorted.begin(), sorted.end());
  const auto at = [&](size_t quarter) { return sorted[(sorted.size() - 1) * quarter / 4]; };
  return {at(0), at(1), at(2), at(3), at(4)};
}

std::unique_ptr<MemoryPolicy> make_prebackrazor(PolicyKeys& keys) {
  const double prune = keys.peek("prune", 0.8);
  SamplingOptions options;
  options.sample = keys.number("sample", 1 - prune, 0.001, 1);
  options.period = keys.whole("period", 20, 1, 1000000000);
  options.groups = keys.whole("groups", 1, 1, 1024);
  options.learn = keys.flag("learn", true);
  options.scale = keys.flag("scale", true);
  options.skip_frozen = keys.choice("frozen", {"zero", "skip"}) == "skip";
  options.bernoulli = keys.choice("draw", {"fixed", "bernoulli"}) == "bernoulli";
  options.tiled = keys.policy() == "prebr++";
  options.bandit.normalise = keys.flag("normalise", true);
  options.bandit.rate = keys.number("rate", options.bandit.normalise ? BanditOptions{}.rate : 1e-3, 0, 1e6);
  options.bandit.floor = keys.number("pmin", std::min(0.05, options.sample / 2), 1e-6, options.sample);
  const bool columns = keys.choice("granularity", {"column", "tensor"}) == "column";
  return columns ? make_sampled_columns(keys, options) : make_sampled_tensors(keys, options);
}

}  // namespace shear
