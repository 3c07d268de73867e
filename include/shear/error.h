// Errors: one sentence, and the kind of fault it tells of.  The library throws; only the executable prints and exits.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

#include "shear/api.h"

namespace SHEAR_API shear {

// Whose fault it was.  The values are the executable's exit codes.
enum class Fault : int {
  internal = 1,  // a fault of ours, or a misuse of the C++ interface
  usage = 2,     // a flag or key that is not understood
  input = 3,     // data, weights or configuration that cannot be used
  memory = 4,    // does not fit
  device = 5,    // the device is not there
};

class Error : public std::runtime_error {
 public:
  Error(Fault fault, const std::string& sentence) : std::runtime_error(sentence), fault_(fault) {}
  Fault fault() const { return fault_; }

 private:
  Fault fault_;
};

template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// fail(Fault::input, path, ": the header is ", n, " bytes, expected at most ", limit);
template <class... Parts>
[[noreturn]] void fail(Fault fault, const Parts&... parts) {
  throw Error(fault, text(parts...));
}

// require(x.cols() == w.cols(), "linear ", site, ": ...");  throws Fault::internal unless ok.
template <class... Parts>
void require(bool ok, const Parts&... parts) {
  if (!ok) [[unlikely]]
    fail(Fault::internal, parts...);
}

}  // namespace shear
