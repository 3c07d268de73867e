// Kernels with one defect each: tests of the tests.
#pragma once
#include <string_view>
#include <vector>

namespace shear::cuda::defects {

// Runs the kernel with this defect on 64 floats of its own, 0, 1, 2..., and returns the 64 that it should have written.
std::vector<float> run(std::string_view name);

std::vector<std::string_view> names();

}  // namespace shear::cuda::defects
