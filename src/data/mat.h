// Vectors of whole numbers from MATLAB's MAT-files, level 5 ("MAT-File Format", MathWorks), plain or compressed.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace shear {

// The values of a variable that is a real vector of whole numbers, of any numeric class.  Throws Fault::input with the
// file, the variable, what was found and what was expected.
std::vector<int64_t> read_mat_vector(const std::filesystem::path&, const std::string& variable);

}  // namespace shear
