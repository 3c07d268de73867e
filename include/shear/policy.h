// A memory policy decides how each saved activation waits for backward.  It knows neither ops nor storage, and
// never packs, frees or copies: it answers with a verdict, and the tape carries it out or says why not.
#pragma once
#include <string>

#include "shear/saved.h"

namespace shear {

class MemoryPolicy {
 public:
  virtual ~MemoryPolicy() = default;

  virtual std::string name() const = 0;            // as the user spelled it: "lean"
  virtual void begin_step(int64_t /*step*/) {}     // once per optimizer step: draw this step's subsets
  virtual Verdict decide(const SaveRequest&) = 0;  // once per value, in forward order
  virtual void observe(const Param&) {}            // after backward, for each param that got a gradient
};

}  // namespace shear
