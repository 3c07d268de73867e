// Several policies, each for the sites that its pattern names: "tokens:keep=0.3@blocks.*.mlp.*|lean".
#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "policies/policies_list.h"
#include "shear/error.h"
#include "shear/pattern.h"
#include "shear/policies.h"

namespace shear {

namespace {

class BySite final : public MemoryPolicy {
 public:
  BySite(std::string_view spec, uint64_t seed) : name_(spec) {
    for (std::string_view rest = spec;; rest.remove_prefix(rest.find('|') + 1)) {
      std::string_view one = rest.substr(0, rest.find('|'));
      while (one.starts_with(' ')) one.remove_prefix(1);
      while (one.ends_with(' ')) one.remove_suffix(1);
      const size_t at = one.find('@');
      const std::string_view pattern = at == std::string_view::npos ? "*" : one.substr(at + 1);
      if (one.substr(0, at).empty() || pattern.empty())
        fail(Fault::usage, "policy ", spec, ": expected POLICY@PATTERN|...|POLICY, found \"", one, "\"");
      parts_.push_back({std::string(pattern), make_policy(one.substr(0, at), seed + parts_.size())});
      if (rest.find('|') == std::string_view::npos) break;
    }
    if (parts_.back().pattern != "*")
      fail(Fault::usage, "policy ", spec, ": expected a policy without a pattern at the end, for all other sites");
  }

  std::string name() const override { return name_; }
  void prepare(std::span<const ParamInfo> params) override {
    for (const ParamInfo& p : params)
      if (p.block >= 0) blocks_[p.block].insert(index_of(p.site()));
    for (const Part& part : parts_) {
      std::vector<ParamInfo> own;
      for (const ParamInfo& p : params)
        if (&of(p.site()) == part.policy.get()) own.push_back(p);
      part.policy->prepare(own);
    }
  }
  void begin_step(int64_t step) override {
    for (Part& p : parts_) p.policy->begin_step(step);
  }
  bool remembers_images() const override {
    return std::any_of(parts_.begin(), parts_.end(), [](const Part& p) { return p.policy->remembers_images(); });
  }
  void know_images(int64_t count) override {
    for (Part& p : parts_) p.policy->know_images(count);
  }
  void see_images(std::span<const int64_t> images) override {
    for (Part& p : parts_) p.policy->see_images(images);
  }
  void learn_distances(std::span<const float> distances) override {
    for (Part& p : parts_) p.policy->learn_distances(distances);
  }
  bool steady() const override {
    return std::all_of(parts_.begin(), parts_.end(), [](const Part& p) { return p.policy->steady(); });
  }
  bool wants(Way way, const Place& at) const override { return of(at.site).wants(way, at); }
  // Of a block that has sites of several policies, bands if all of them have.  Of one of which nothing is trained its
  // policies are not known.
  int64_t band_rows(const Place& at) const override {
    const auto known = blocks_.find(at.block);
    int64_t least = std::numeric_limits<int64_t>::max();
    for (size_t i = 0; i < parts_.size(); ++i)
      if (known == blocks_.end() || known->second.contains(i)) least = std::min(least, parts_[i].policy->band_rows(at));
    return least;
  }
  Verdict decide(const SaveRequest& request) override { return of(request.site).decide(request); }
  void observe(GradientView& gradient) override { of(gradient.param().site()).observe(gradient); }
  std::span<const float> active_columns(const ParamInfo& param) const override {
    return of(param.site()).active_columns(param);
  }
  std::vector<PolicyState> state() override {
    std::vector<PolicyState> all;
    for (size_t i = 0; i < parts_.size(); ++i)
      for (PolicyState& s : parts_[i].policy->state()) all.push_back({std::to_string(i) + "." + s.name, s.values});
    return all;
  }
  std::vector<SamplingReport> report() const override {
    std::vector<SamplingReport> all;
    for (const Part& p : parts_)
      for (SamplingReport& r : p.policy->report()) all.push_back(std::move(r));
    return all;
  }

 private:
  struct Part {
    std::string pattern;
    std::unique_ptr<MemoryPolicy> policy;
  };
  size_t index_of(std::string_view site) const {
    size_t i = 0;
    while (!fits(parts_[i].pattern, site)) ++i;  // the last fits everything
    return i;
  }
  MemoryPolicy& of(std::string_view site) const { return *parts_[index_of(site)].policy; }

  std::string name_;
  std::vector<Part> parts_;
  std::map<int, std::set<size_t>> blocks_;  // the parts that trained parameters of a block belong to
};

}  // namespace

std::unique_ptr<MemoryPolicy> make_by_site(std::string_view spec, uint64_t seed) {
  return std::make_unique<BySite>(spec, seed);
}

}  // namespace shear
