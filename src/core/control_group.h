// The control groups that this process is in.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace shear {

struct ControlGroup {
  std::string name;              // "/build/job-3", as /proc/self/cgroup has it
  std::filesystem::path folder;  // with its files; there at the time of asking
  int version;                   // 1, 2
};

// The process's own group for a controller ("memory", "cpu") and those above it, of both versions, the own ones first.
// In a container whose groups are mounted as if its own were the topmost, that one.  `root` is where /proc and /sys
// lie.
std::vector<ControlGroup> control_groups(const std::filesystem::path& root, const std::string& controller);

}  // namespace shear
