// Flags whose value is a number: read as a whole, checked against a range that the help tells.
#pragma once
#include <CLI/CLI.hpp>
#include <string>

#include "shear/train.h"

namespace shear::tool {

// T: int, int64_t, uint64_t, float, double, or an optional of one of them.  `--batch 1x`, a number out of its range and
// one that T cannot hold are Fault::usage.
template <class T>
CLI::Option* add_number(CLI::App&, const std::string& flag, T& value, const NumberRange&, const std::string& help);

// The same for a flag of the recipe's name and range.
template <class T>
CLI::Option* add_recipe_number(CLI::App& app, const std::string& flag, T& value, const std::string& help) {
  return add_number(app, flag, value, recipe_range(flag.substr(2)), help);
}

// I,J,... from 0 on.
CLI::Option* add_indices(CLI::App&, const std::string& flag, std::vector<int64_t>& values, const std::string& help);

// Numbers separated by commas.
std::vector<double> read_numbers(const std::string& flag, const std::string& words, const NumberRange&);

inline constexpr NumberRange thread_counts{0, 1024}, loader_thread_counts{1, 256}, any_count{0, 1e9};

}  // namespace shear::tool
