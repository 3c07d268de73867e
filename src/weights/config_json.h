// Values of a library's configuration: what is not of the kind that is expected is refused with its key.
#pragma once
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "shear/data.h"

namespace shear::config {

using Json = nlohmann::json;

// `where` opens every sentence; they are Fault::input.
[[noreturn]] void refuse(const std::string& where, const char* key, const Json& found, const std::string& expected);
Json parse(std::string_view text, const std::string& where);  // an object

// The value of a key; nothing where it is not there or is null.
const Json* find(const Json&, const char* key);
const Json* find_object(const Json&, const char* key, const std::string& where);
std::optional<int64_t> whole(const Json&, const char* key, const std::string& where);  // or a square, as a list of two
std::optional<double> number(const Json&, const char* key, const std::string& where);
std::optional<std::string> word(const Json&, const char* key, const std::string& where);
bool flag(const Json&, const char* key, const std::string& where, bool otherwise);

// Three numbers, or one for all; above 0 where pixels are divided by them.
void channels(const Json&, const char* key, const std::string& where, bool divisor, std::array<float, 3>& into);
Interpolation interpolation(const std::string& name, const char* key, const std::string& where);
// As Pillow numbers them, from 1 on; 0, its nearest neighbour, is none of ours.
inline constexpr std::array by_pillow{Interpolation::lanczos, Interpolation::bilinear, Interpolation::bicubic,
                                      Interpolation::box, Interpolation::hamming};

}  // namespace shear::config
