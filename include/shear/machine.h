// What the machine has left for this process.
#pragma once
#include <cstddef>
#include <filesystem>
#include <string>

#include "shear/api.h"

namespace SHEAR_API shear {

// The least of what the kernel says is available (with free swap), what the process's control group and those above it
// allow beyond what they hold (their caches of files, which the kernel gives up first, do not count), and the address
// space (ulimit -v).  What cannot be read does not limit.  `root` is where /proc and /sys lie.  Thread-safe.
struct MemoryLeft {
  size_t bytes;
  std::string of;  // for a sentence: "the machine", "the control group /build", "the address space (ulimit -v)"
};
MemoryLeft memory_left(const std::filesystem::path& root = "/");

// What a limit of this process, RLIMIT_AS or RLIMIT_DATA, leaves beyond what counts towards it now; the greatest number
// where there is none.  Thread-safe.
size_t limit_left(int resource);

}  // namespace shear
