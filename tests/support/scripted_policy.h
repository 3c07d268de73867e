// A policy for tests: one answer to everything, and a memory of what it was asked and told.
#pragma once
#include <string>
#include <vector>

#include "shear/policy.h"

namespace shear::test {

class Scripted final : public MemoryPolicy {
 public:
  explicit Scripted(Verdict answer) : answer_(answer) {}
  std::string name() const override { return "scripted"; }
  Verdict decide(const SaveRequest& r) override {
    asked.push_back(std::string(r.site) + ": " + std::string(shear::name(r.role)) +
                    (r.recipe == SaveRequest::Recipe::exact ? ", recomputable" : ""));
    return answer_;
  }
  void observe(GradientView& g) override { observed.emplace_back(g.param().name); }

  std::vector<std::string> asked, observed;

 private:
  Verdict answer_;
};

}  // namespace shear::test
