// What the work of this thread is for: a fault of a device names the site of the op that it was in.
#pragma once
#include <string_view>

#include "shear/api.h"

namespace SHEAR_API shear {

// Where an op stands in the model: "blocks.3.mlp.fc1".  Names the op in policies, reports and errors.
using Site = std::string_view;

// Until it goes out of scope, this thread works for `site`, which must outlive what is recorded there.  Scopes may lie
// in each other.
class At {
 public:
  explicit At(std::string_view site) : before_(now()) { now() = site; }
  ~At() { now() = before_; }
  At(const At&) = delete;
  At& operator=(const At&) = delete;

  static std::string_view site() { return now(); }  // empty outside of every scope

 private:
  static std::string_view& now() {
    thread_local std::string_view site;
    return site;
  }
  std::string_view before_;
};

}  // namespace shear
