// JSON of files that others wrote: its depth is not theirs to choose.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace shear {

// Throws Fault::input, `where` in front, for what is no JSON, and for objects and arrays nested more than `most` deep;
// `expected` ends that sentence.
nlohmann::json parse_shallow(std::string_view text, const std::string& where, int most, const char* expected);

}  // namespace shear
