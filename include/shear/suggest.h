// What somebody may have meant who wrote a name that is not known.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "shear/api.h"

namespace SHEAR_API shear {

// Single characters to insert, drop, replace or swap with their neighbour between two names, whatever the case.
size_t edit_distance(std::string_view, std::string_view);

// The nearest of the names that are known; empty where none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

// " (did you mean NAME?)", or nothing: for the middle of a sentence.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& known);

// "a, b, c"
std::string listed(const std::vector<std::string>&);

}  // namespace shear
