// Kernels with one defect each: tests of the tests.
#pragma once
#include <string_view>
#include <vector>

namespace shear::cuda::defects {

// Runs the kernel with this defect on memory of its own and waits for it.
void run(std::string_view name);

std::vector<std::string_view> names();

}  // namespace shear::cuda::defects
