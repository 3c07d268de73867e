// What commands print: results on stdout, notes and warnings on stderr.  Names and paths come from anywhere: nothing
// printed here moves a terminal's cursor, and JSON is UTF-8 whatever they hold.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace shear::tool {

void print(const std::string& line);                   // on stdout, made printable
void print_json(const nlohmann::ordered_json&);        // on stdout, in lines
std::string json_text(const nlohmann::ordered_json&);  // the same as a string
void say(const std::string& line);                     // on stderr, made printable
std::string short_hash(std::string_view);              // FNV-1a in hexadecimal: for the names of files

}  // namespace shear::tool
