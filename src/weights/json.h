// JSON: reading with a sentence, floats as people write them.
#pragma once
#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>

#include "shear/data.h"
#include "shear/error.h"

namespace shear {

// The double that reads like the float: 0.1f -> 0.1, and back without loss.
inline double short_double(float f) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, f).ptr;
  double d = f;
  std::from_chars(digits, end, d);
  return d;
}

// Hands the parsed text to `read`; whatever is wrong with it becomes one sentence that opens with `what`.
template <class Read>
void parse_json(const std::string& what, std::string_view text, Read read) {
  try {
    read(nlohmann::json::parse(text));
  } catch (const nlohmann::json::exception& e) {
    fail(Fault::input, what, " is not what Shear writes there: ", e.what());
  }
}

nlohmann::ordered_json preprocess_json(const Preprocess&);

}  // namespace shear
