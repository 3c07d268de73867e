// How every op begins.
#pragma once
#include "shear/ops.h"

namespace shear {

// Until it goes out of scope, work is for this op's site; and what the op was given can be worked with.
class Entry {
 public:
  Entry(Tape& tape, std::string_view op, Site site, std::initializer_list<Given> given) : here_(site) {
    tape.admit(op, site, given);
  }

 private:
  At here_;
};

}  // namespace shear
