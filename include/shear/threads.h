// How many threads a computation has, and whether the system lets them start.
#pragma once
#include <filesystem>

#include "shear/api.h"

namespace SHEAR_API shear {

inline constexpr int most_threads = 1024;

// OMP_NUM_THREADS where it says a number, else the CPUs that this process may run on, or fewer where its control groups
// grant it less time than that; at most OMP_THREAD_LIMIT.
int default_threads();

// The parts of that answer; 0: nothing is said.
int threads_in(const char* variable);                          // the first number of "4" or "4,2"; null: not set
int threads_granted(const std::filesystem::path& root = "/");  // by the quota of cgroups, v1 or v2, rounded up

// Starts that many threads at once, for a moment.  Throws Fault::memory, naming `flag`, where the system does not let
// them start.
void require_threads(int count, const char* flag);

// The threads that the CPU's kernels compute with: they are there from then on (src/backends/cpu).
void start_cpu_threads(int count);

}  // namespace shear
