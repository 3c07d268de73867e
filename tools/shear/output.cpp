// What commands print.
#include "output.h"

#include <iostream>

#include "shear/error.h"
#include "shear/utf8.h"

namespace shear::tool {

namespace {

std::string as_utf8(const std::string& s) { return is_utf8(s) ? s : printable(s); }

nlohmann::ordered_json as_utf8(const nlohmann::ordered_json& j) {
  if (j.is_string()) return as_utf8(j.get_ref<const std::string&>());
  if (!j.is_structured()) return j;
  nlohmann::ordered_json copy = j.is_array() ? nlohmann::ordered_json::array() : nlohmann::ordered_json::object();
  for (const auto& [key, value] : j.items())
    if (j.is_array())
      copy.push_back(as_utf8(value));
    else
      copy[as_utf8(key)] = as_utf8(value);
  return copy;
}

}  // namespace

void print(const std::string& line) { std::cout << printable(line) + '\n'; }
void print_json(const nlohmann::ordered_json& j) { std::cout << json_text(j) << '\n'; }
std::string json_text(const nlohmann::ordered_json& j) { return as_utf8(j).dump(2); }
void say(const std::string& line) { std::cerr << printable(line) + '\n' << std::flush; }

std::string short_hash(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return text(std::hex, hash);
}

}  // namespace shear::tool
