// /proc/self/cgroup: lines of "number:controllers:path"; version 2 has the number 0 and no controllers.
#include "core/control_group.h"

#include <fstream>
#include <sstream>

namespace shear {

namespace fs = std::filesystem;

namespace {

bool lists(const std::string& controllers, const std::string& wanted) {
  std::istringstream in(controllers);
  for (std::string one; std::getline(in, one, ',');)
    if (one == wanted) return true;
  return false;
}

// A folder for the group or for one above it, wherever it is mounted.  In a container the group may be called as on the
// host: what is not there is passed over, and the mount itself is always looked at.
void add(const std::vector<fs::path>& mounts, const fs::path& named, int version, std::vector<ControlGroup>& found) {
  std::error_code error;
  for (const fs::path& mount : mounts)
    for (fs::path group = named.lexically_normal();; group = group.parent_path()) {
      const fs::path folder = mount / group.relative_path();
      if (fs::is_directory(folder, error)) found.push_back({group.string(), folder, version});
      if (group == group.parent_path()) break;
    }
}

}  // namespace

std::vector<ControlGroup> control_groups(const fs::path& root, const std::string& controller) {
  std::vector<ControlGroup> found;
  const fs::path mounts = root / "sys/fs/cgroup";
  std::ifstream in(root / "proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(':'), second = first == line.npos ? first : line.find(':', first + 1);
    if (second == line.npos || line.compare(second + 1, 1, "/") != 0) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const fs::path group = line.substr(second + 1);
    if (controllers.empty())
      add({mounts, mounts / "unified"}, group, 2, found);
    else if (lists(controllers, controller))
      add(controllers == controller ? std::vector{mounts / controller}
                                    : std::vector{mounts / controllers, mounts / controller},
          group, 1, found);
  }
  return found;
}

}  // namespace shear
