// Values of a library's configuration.
#include "weights/config_json.h"

#include <algorithm>
#include <cmath>

#include "io/shallow_json.h"
#include "shear/error.h"
#include "shear/utf8.h"

namespace shear::config {

void refuse(const std::string& where, const char* key, const Json& found, const std::string& expected) {
  std::string value = found.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (value.size() > 80) {
    value.resize(80);
    while (!is_utf8(value)) value.pop_back();  // a character that was cut
    value += "...";
  }
  fail(Fault::input, where, ": ", key, " is ", value, ", expected ", expected);
}

Json parse(std::string_view text, const std::string& where) {
  Json j =
      parse_shallow(text, where, 32, "a flat object");  // values are quoted in sentences, and writing JSON recurses
  if (!j.is_object()) refuse(where, "the file", j, "an object");
  return j;
}

const Json* find(const Json& j, const char* key) {
  const auto at = j.find(key);
  return at == j.end() || at->is_null() ? nullptr : &*at;
}

const Json* find_object(const Json& j, const char* key, const std::string& where) {
  const Json* found = find(j, key);
  if (found && !found->is_object()) refuse(where, key, *found, "an object");
  return found;
}

// A whole number, or a square as a list of two equal ones.
std::optional<int64_t> whole(const Json& j, const char* key, const std::string& where) {
  const Json* found = find(j, key);
  if (!found) return std::nullopt;
  const Json& one = found->is_array() && found->size() == 2 && (*found)[0] == (*found)[1] ? (*found)[0] : *found;
  if (!one.is_number_integer() || one < 0 || one > 1'000'000'000) refuse(where, key, *found, "a whole number");
  return one.get<int64_t>();
}

std::optional<double> number(const Json& j, const char* key, const std::string& where) {
  const Json* found = find(j, key);
  if (!found) return std::nullopt;
  if (!found->is_number() || !std::isfinite(found->get<double>())) refuse(where, key, *found, "a number");
  return found->get<double>();
}

std::optional<std::string> word(const Json& j, const char* key, const std::string& where) {
  const Json* found = find(j, key);
  if (!found) return std::nullopt;
  if (!found->is_string()) refuse(where, key, *found, "a string");
  return found->get<std::string>();
}

bool flag(const Json& j, const char* key, const std::string& where, bool otherwise) {
  const Json* found = find(j, key);
  if (!found) return otherwise;
  if (!found->is_boolean()) refuse(where, key, *found, "true or false");
  return found->get<bool>();
}

void channels(const Json& j, const char* key, const std::string& where, bool divisor, std::array<float, 3>& into) {
  const Json* found = find(j, key);
  if (!found) return;
  const bool fits = found->is_array() && (found->size() == 1 || found->size() == 3) &&
                    std::all_of(found->begin(), found->end(), [&](const Json& v) {
                      return v.is_number() && std::isfinite(v.get<float>()) && (!divisor || v.get<float>() > 0);
                    });
  if (!fits) refuse(where, key, *found, divisor ? "1 or 3 numbers above 0" : "1 or 3 numbers");
  for (size_t i = 0; i < 3; ++i) into[i] = (*found)[found->size() == 1 ? 0 : i].get<float>();
}

Interpolation interpolation(const std::string& name, const char* key, const std::string& where) {
  if (const auto known = parse_interpolation(name)) return *known;
  refuse(where, key, name, "bilinear, bicubic, lanczos, box or hamming");
}

}  // namespace shear::config
