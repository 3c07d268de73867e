// The status that a fault ends the process with: a promise that scripts rely on.
#pragma once
#include "shear/error.h"

namespace shear::tool {

constexpr int exit_code(Fault fault) {
  switch (fault) {
    case Fault::internal:
      return 1;
    case Fault::usage:
      return 2;
    case Fault::input:
      return 3;
    case Fault::memory:
      return 4;
    case Fault::device:
      return 5;
  }
  return 1;
}

}  // namespace shear::tool
