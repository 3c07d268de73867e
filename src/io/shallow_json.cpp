// JSON of files that others wrote.
#include "io/shallow_json.h"

#include <nlohmann/json.hpp>

#include "shear/error.h"
#include "shear/utf8.h"

namespace shear {

nlohmann::json parse_shallow(std::string_view text, const std::string& where, int most, const char* expected) {
  int depth = 0;
  const auto shallow = [&](int, nlohmann::json::parse_event_t event, nlohmann::json&) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) ++depth;
    if (event == Event::object_end || event == Event::array_end) --depth;
    if (depth > most) fail(Fault::input, where, ": is nested more than ", most, " deep, expected ", expected);
    return true;
  };
  try {
    return nlohmann::json::parse(text, shallow);
  } catch (const nlohmann::json::exception& e) {
    fail(Fault::input, where, ": is not JSON: ", printable(e.what()));
  }
}

}  // namespace shear
