// Errors: one sentence, and the kind of fault it tells of.  The library throws; only the executable prints and exits.
#pragma once
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include "shear/api.h"

namespace SHEAR_API shear {

// Whose fault it was.
enum class Fault : uint8_t {
  internal,  // a fault of ours, or a misuse of the C++ interface
  usage,     // a setting or key that is not understood
  input,     // data, weights or configuration that cannot be used
  memory,    // does not fit
  device,    // the device is not there
};

// A setting, in a sentence: its name as the application spells it, "batch" unless it says otherwise.
std::string setting(std::string_view name);
// As an executable does whose settings are flags: spell_settings("--").  Before other threads are started.
void spell_settings(std::string_view prefix);

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
