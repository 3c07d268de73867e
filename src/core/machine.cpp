// What the machine has left: /proc/meminfo, control groups of both versions, limits.
// https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
#include "shear/machine.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

#include "core/control_group.h"

namespace shear {

namespace fs = std::filesystem;

namespace {

using Bytes = uint64_t;

// The number behind `key` in a file of "key number" lines; empty: it is not there.
std::optional<Bytes> entry(const fs::path& file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string name;
    Bytes value = 0;
    if (words >> name >> value && name == key) return value;
  }
  return std::nullopt;
}

std::optional<Bytes> number(const fs::path& file) {  // "max" is none
  Bytes value = 0;
  if (std::ifstream in(file); in >> value) return value;
  return std::nullopt;
}

Bytes left(Bytes limit, Bytes used) { return limit > used ? limit - used : 0; }

// How the two versions call the same files.
struct Names {
  const char *limit, *used, *cache, *swap_limit, *swap_used;
};
constexpr Names version_1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", nullptr, nullptr};
constexpr Names version_2{"memory.max", "memory.current", "inactive_file", "memory.swap.max", "memory.swap.current"};

}  // namespace

MemoryLeft memory_left(const fs::path& root) {
  const fs::path meminfo = root / "proc/meminfo";
  const Bytes swap = entry(meminfo, "SwapFree:").value_or(0) * 1024;
  MemoryLeft least{std::numeric_limits<size_t>::max(), "the machine"};
  if (const auto available = entry(meminfo, "MemAvailable:")) least.bytes = *available * 1024 + swap;
  const auto consider = [&](Bytes bytes, const std::string& of) {
    if (bytes < least.bytes) least = {static_cast<size_t>(bytes), of};
  };
  for (const ControlGroup& group : control_groups(root, "memory")) {
    const Names& names = group.version == 2 ? version_2 : version_1;
    const auto limit = number(group.folder / names.limit), used = number(group.folder / names.used);
    if (!limit || !used) continue;
    const Bytes cache = entry(group.folder / "memory.stat", names.cache).value_or(0);
    Bytes swapped = 0;
    if (names.swap_limit)
      if (const auto used_swap = number(group.folder / names.swap_used))
        swapped = std::min(swap, left(number(group.folder / names.swap_limit).value_or(swap + *used_swap), *used_swap));
    consider(left(*limit, left(*used, cache)) + swapped, "the control group " + group.name);
  }
  if (root == "/") consider(limit_left(RLIMIT_AS), "the address space (ulimit -v)");
  return least;
}

size_t limit_left(int resource) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::numeric_limits<size_t>::max();
  size_t size = 0, resident = 0, shared = 0, text = 0, libraries = 0, data = 0;  // in pages
  std::ifstream("/proc/self/statm") >> size >> resident >> shared >> text >> libraries >> data;
  const size_t pages = resource == RLIMIT_DATA ? data : size;
  return left(limit.rlim_cur, pages * static_cast<size_t>(sysconf(_SC_PAGE_SIZE)));
}

}  // namespace shear
