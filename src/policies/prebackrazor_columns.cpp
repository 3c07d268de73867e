// PreBackRazor by columns: of each linear's input X the columns S are drawn, d in S with probability p_d, and only X_S
// is stored and multiplied: dW[:, d] = (dY^T X_S)_d / p_d for d in S, else 0.
//
// Draws have a fixed size unless `draw=bernoulli`: bytes then follow from shapes.  Columns of dW are disjoint, so mean
// and second moment depend on the p_d alone, not on how the draws of two columns hang together.
#include <algorithm>
#include <cmath>
#include <deque>
#include <map>

#include "policies/prebackrazor.h"

namespace shear {

namespace {

// The columns of one linear's input.
struct Layer {
  Layer(std::string_view w, int64_t columns, int64_t k, const SamplingOptions& o, uint32_t number)
      : weight(w), kept(k), ordinal(number), bandit(columns, static_cast<double>(k), o.bandit) {
    const auto n = static_cast<size_t>(columns);
    room =
        o.bernoulli ? std::min(columns, k + static_cast<int64_t>(std::ceil(4 * std::sqrt(static_cast<double>(k))))) : k;
    index.resize(static_cast<size_t>(room * o.groups));
    scale.resize(index.size());
    norms.assign(n, -1.f);
    times.resize(n);
    active.resize(n);
    union_.reserve(n);
    seen.reserve(n);
  }

  std::string weight;      // its name
  int64_t kept, room = 0;  // columns on average; columns that there is room for
  uint32_t ordinal;
  Bandit bandit;
  std::vector<int32_t> index;  // (groups, room)
  std::vector<float> scale;
  std::vector<float> norms;    // squared, of the unscaled gradient, seen in this period; -1: not drawn, or not yet seen
  std::vector<int32_t> times;  // groups that a column was drawn for
  std::vector<float> active;   // 1 where it was drawn for any
  std::vector<int32_t> union_;
  std::vector<float> seen;
  size_t bytes = 0;  // in this step
};

class SampledColumns final : public PreBackRazor {
 public:
  using PreBackRazor::PreBackRazor;

  void prepare(std::span<const ParamInfo> params) override {
    for (const ParamInfo& p : params)
      if (is_sampled(p)) layer(p.site(), p.name, p.shape.cols());
  }

  void observe(GradientView& gradient) override {
    if (!observing()) return;
    const std::string_view weight = gradient.param().name;
    for (auto& [site, l] : layers_)
      if (l.weight == weight) return see(l, gradient.column_square_sums());
  }

  std::span<const float> active_columns(const ParamInfo& param) const override {
    if (options_.skip_frozen)
      for (const auto& [site, l] : layers_)
        if (l.weight == param.name) return l.active;
    return {};
  }

  std::vector<PolicyState> state() override {
    std::vector<PolicyState> all;
    for (auto& [site, l] : layers_) {
      all.push_back({site + ".probabilities", l.bandit.probabilities()});
      all.push_back({site + ".norms", l.norms});
      all.push_back({site + ".largest", l.bandit.largest()});
    }
    return all;
  }

  std::vector<SamplingReport> report() const override {
    std::vector<SamplingReport> all;
    for (const auto& [site, l] : layers_) {
      const double share = static_cast<double>(l.kept) / static_cast<double>(l.norms.size()) * inside().keep;
      all.push_back({site, quantiles(l.bandit.probabilities()), share, l.bytes});
    }
    return all;
  }

 protected:
  Verdict linear(const SaveRequest& request) override {
    if (!request.weight) return Keep{};
    if (is_low_rank(request)) return whole();
    Layer& l = layer(request.site, request.weight->name, request.shape.cols());
    const double each = 16 * inside().keep + (inside().keep < 1 ? 1 : 0);  // bits
    l.bytes = static_cast<size_t>(static_cast<double>(request.shape.rows() * l.room) * each / 8);
    return SampleColumns{l.index, l.scale, inside(), options_.groups};
  }

  void learn() override {
    for (auto& [site, l] : layers_) {
      l.union_.clear();
      l.seen.clear();
      for (size_t d = 0; d < l.norms.size(); ++d)
        if (l.norms[d] >= 0) {
          l.union_.push_back(static_cast<int32_t>(d));
          l.seen.push_back(l.norms[d]);
        }
      if (!l.union_.empty()) l.bandit.update(l.union_, l.seen);
      std::fill(l.norms.begin(), l.norms.end(), -1.f);
    }
  }

  void draw() override {
    for (auto& [site, l] : layers_) draw(l);
  }

 private:
  Layer& layer(std::string_view site, std::string_view weight, int64_t columns) {
    if (const auto known = layers_.find(site); known != layers_.end()) return known->second;
    const auto number = static_cast<uint32_t>(layers_.size());
    const int64_t k = share_of(options_.sample, columns);
    Layer& made = layers_.try_emplace(std::string(site), weight, columns, k, options_, number).first->second;
    draw(made);
    return made;
  }

  void draw(Layer& l) {
    Stream random = stream(l.ordinal);
    const std::span<const float> p = l.bandit.probabilities();
    std::fill(l.times.begin(), l.times.end(), 0);
    const uint32_t word = random.word();
    for (int64_t g = 0; g < options_.groups; ++g) {
      const std::span<int32_t> index =
          std::span(l.index).subspan(static_cast<size_t>(g * l.room), static_cast<size_t>(l.room));
      const std::span<float> scale =
          std::span(l.scale).subspan(static_cast<size_t>(g * l.room), static_cast<size_t>(l.room));
      int64_t n = l.kept;
      if (options_.bernoulli)
        n = draw_bernoulli(p, random, index);
      else
        draw_systematic(p, n, systematic_start(word, g, options_.groups), index);
      for (size_t i = 0; i < index.size(); ++i) {
        const bool drawn = i < static_cast<size_t>(n);
        if (!drawn) index[i] = static_cast<int32_t>(p.size()) - 1;  // fills up, counts nothing
        scale[i] = !drawn ? 0.f : options_.scale ? 1.f / p[static_cast<size_t>(index[i])] : 1.f;
        if (drawn) ++l.times[static_cast<size_t>(index[i])];
      }
    }
    for (size_t d = 0; d < l.active.size(); ++d) l.active[d] = l.times[d] > 0 ? 1.f : 0.f;
  }

  // What was added into column d is scaled by 1 / p_d, and comes from as many groups as drew it.
  void see(Layer& l, std::span<const float> square_sums) const {
    const std::span<const float> p = l.bandit.probabilities();
    for (size_t d = 0; d < l.norms.size(); ++d) {
      if (l.times[d] == 0) continue;
      const float groups = static_cast<float>(options_.groups) / static_cast<float>(l.times[d]);
      const float undo = (options_.scale ? p[d] : 1.f) * groups;
      l.norms[d] = square_sums[d] * undo * undo;
    }
  }

  std::map<std::string, Layer, std::less<>> layers_;
};

}  // namespace

std::unique_ptr<MemoryPolicy> make_sampled_columns(PolicyKeys& keys, const SamplingOptions& options) {
  return std::make_unique<SampledColumns>(keys, options);
}

}  // namespace shear
