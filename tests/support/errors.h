// Errors in tests: the sentence that a call throws.
#pragma once
#include <doctest/doctest.h>

#include <string>

#include "shear/error.h"

namespace shear::test {

// Runs f and returns the sentence of the Error that it throws, checking whose fault it says it is.
template <class F>
std::string sentence(Fault fault, F f) {
  try {
    f();
  } catch (const Error& e) {
    CHECK(e.fault() == fault);
    return e.what();
  }
  FAIL("no error was thrown");
  return "";
}

}  // namespace shear::test
