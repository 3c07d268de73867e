// How long kernels take on this machine, as it was measured before: a file in the user's cache.
#pragma once
#include "shear/train.h"

namespace shear::tool {

class KeptTimes {
 public:
  // Those of this machine, build, precision and so many threads; none where nothing was kept, or `anew`.
  KeptTimes(int threads, std::string_view precision, bool anew);

  // See shear::step_seconds; what it measures is kept from then on, where there is a place for it.  None also where
  // there is no room to measure, which is said.
  std::optional<double> step_seconds(const PlanOptions&);

 private:
  KernelTimes read() const;
  void keep();

  std::filesystem::path file_;  // empty: there is no place
  KernelTimes times_;
  bool said_ = false;
};

}  // namespace shear::tool
