// PreBackRazor by tensors, as its public release has it: of the weights of one shape some are drawn, and the linears of
// the others store nothing of their input and have no weight gradient; dX and db stay exact.
//
// A draw takes as many of each shape every time.  The bytes follow from shapes, but for the last block's where the head
// reads the class token alone; the moment of the peak does not.
#include <algorithm>
#include <cmath>
#include <deque>
#include <utility>

#include "policies/prebackrazor.h"
#include "shear/error.h"

namespace shear {

namespace {

// The weights of one shape: the arms of one bandit.
struct Stratum {
  Shape shape;
  std::vector<std::string> weights;
  std::vector<float> norms;    // squared, of the unscaled gradient; -1: not drawn, or not yet seen
  std::vector<int32_t> drawn;  // ascending
  std::vector<float> seen;
  std::unique_ptr<Bandit> bandit;
};

class SampledTensors final : public PreBackRazor {
 public:
  using PreBackRazor::PreBackRazor;

  void prepare(std::span<const ParamInfo> params) override {
    for (const ParamInfo& p : params)
      if (is_sampled(p)) stratum_of(p.shape).weights.emplace_back(p.name);
    for (const Stratum& s : strata_) zeros_.resize(std::max(zeros_.size(), static_cast<size_t>(s.shape.cols())), 0.f);
    ones_.assign(zeros_.size(), 1.f);
    for (Stratum& s : strata_) {
      const int64_t n = static_cast<int64_t>(s.weights.size());
      const int64_t k = std::clamp<int64_t>(std::llround(options_.sample * static_cast<double>(n)), 1, n);
      BanditOptions o = options_.bandit;
      o.floor = std::min(o.floor, static_cast<double>(k) / static_cast<double>(n) / 2);
      s.bandit = std::make_unique<Bandit>(n, static_cast<double>(k), o);
      s.norms.assign(s.weights.size(), -1.f);
      s.drawn.resize(static_cast<size_t>(k));
      s.seen.reserve(s.drawn.size());
    }
  }

  bool steady() const override { return false; }  // as many, but not in the same blocks

  void observe(GradientView& gradient) override {
    if (!observing()) return;
    const auto [s, arm] = find(gradient.param().name);
    if (!s || !std::binary_search(s->drawn.begin(), s->drawn.end(), static_cast<int32_t>(arm))) return;
    double sum = 0;
    for (const float v : gradient.column_square_sums()) sum += static_cast<double>(v);
    const double undo = options_.scale ? static_cast<double>(s->bandit->probabilities()[arm]) : 1.;
    s->norms[arm] = static_cast<float>(sum * undo * undo);
  }

  std::span<const float> active_columns(const ParamInfo& param) const override {
    if (!options_.skip_frozen) return {};
    const auto [s, arm] = find(param.name);
    if (!s) return {};
    const bool drawn = std::binary_search(s->drawn.begin(), s->drawn.end(), static_cast<int32_t>(arm));
    return std::span<const float>(drawn ? ones_ : zeros_).first(static_cast<size_t>(param.shape.cols()));
  }

  std::vector<PolicyState> state() override {
    std::vector<PolicyState> all;
    for (size_t i = 0; i < strata_.size(); ++i) {
      const std::string name = "stratum" + std::to_string(i);
      all.push_back({name + ".probabilities", strata_[i].bandit->probabilities()});
      all.push_back({name + ".norms", strata_[i].norms});
      all.push_back({name + ".largest", strata_[i].bandit->largest()});
    }
    return all;
  }

  std::vector<SamplingReport> report() const override {
    std::vector<SamplingReport> all;
    for (const Stratum& s : strata_)
      for (size_t i = 0; i < s.weights.size(); ++i) {
        const float p = std::as_const(*s.bandit).probabilities()[i];
        all.push_back(
            {std::string(ParamInfo{s.weights[i]}.site()), {p, p, p, p, p}, static_cast<double>(p) * inside().keep, 0});
      }
    return all;
  }

 protected:
  Verdict linear(const SaveRequest& request) override {
    if (!request.weight) return Keep{};
    if (is_low_rank(request)) return whole();
    const auto [s, arm] = find(request.weight->name);
    if (!s) return inside();  // not told of by prepare: it is always kept
    if (!std::binary_search(s->drawn.begin(), s->drawn.end(), static_cast<int32_t>(arm))) return SampleColumns{};
    const auto n = static_cast<size_t>(request.shape.cols());
    for (size_t i = all_.size(); i < n; ++i) all_.push_back(static_cast<int32_t>(i));
    scale_.assign(n, options_.scale ? 1.f / s->bandit->probabilities()[arm] : 1.f);
    return SampleColumns{std::span(all_).first(n), scale_, inside()};
  }

  void learn() override {
    for (Stratum& s : strata_) {
      s.seen.clear();
      bool complete = true;
      for (const int32_t d : s.drawn) {
        s.seen.push_back(s.norms[static_cast<size_t>(d)]);
        complete = complete && s.seen.back() >= 0;
      }
      if (complete) s.bandit->update(s.drawn, s.seen);
      std::fill(s.norms.begin(), s.norms.end(), -1.f);
    }
  }

  void draw() override {
    for (size_t i = 0; i < strata_.size(); ++i) {
      Stratum& s = strata_[i];
      Stream random = stream(static_cast<uint32_t>(i));
      draw_systematic(s.bandit->probabilities(), static_cast<int64_t>(s.drawn.size()), systematic_start(random.word()),
                      s.drawn);
    }
  }

 private:
  Stratum& stratum_of(const Shape& shape) {
    for (Stratum& s : strata_)
      if (s.shape == shape) return s;
    Stratum& made = strata_.emplace_back();
    made.shape = shape;
    return made;
  }
  std::pair<Stratum*, size_t> find(std::string_view name) const {
    for (Stratum& s : strata_)
      for (size_t i = 0; i < s.weights.size(); ++i)
        if (s.weights[i] == name) return {&s, i};
    return {nullptr, 0};
  }

  mutable std::deque<Stratum> strata_;
  std::vector<float> zeros_, ones_;
  std::vector<int32_t> all_;
  std::vector<float> scale_;
};

}  // namespace

std::unique_ptr<MemoryPolicy> make_sampled_tensors(PolicyKeys& keys, const SamplingOptions& options) {
  if (options.bernoulli) fail(Fault::usage, "policy prebr: draw=bernoulli goes with granularity=column");
  if (options.groups != 1) fail(Fault::usage, "policy prebr: groups goes with granularity=column");
  return std::make_unique<SampledTensors>(keys, options);
}

}  // namespace shear
