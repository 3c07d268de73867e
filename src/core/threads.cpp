// How many threads, as the environment, the affinity mask and the control groups say.
#include "shear/threads.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <latch>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "core/control_group.h"
#include "shear/error.h"

namespace shear {

namespace fs = std::filesystem;

namespace {

// The CPUs of the affinity mask: taskset, cpusets of containers and of batch systems narrow it.
int allowed_cpus() {
  for (int known = CPU_SETSIZE; known <= 1 << 18; known *= 2) {  // the kernel may know more CPUs than a cpu_set_t
    cpu_set_t* mask = CPU_ALLOC(static_cast<size_t>(known));
    const size_t bytes = CPU_ALLOC_SIZE(static_cast<size_t>(known));
    const int count = mask && sched_getaffinity(0, bytes, mask) == 0 ? CPU_COUNT_S(bytes, mask) : 0;
    CPU_FREE(mask);
    if (count > 0) return count;
  }
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

std::string first_line(const fs::path& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

// "200000 100000", "max 100000", or the two numbers of v1, of which -1 is no limit: CPUs, rounded up; 0: no limit.
int cpus_of(const std::string& quota, const std::string& period) {
  const auto number = [](const std::string& digits) {
    int64_t value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
  };
  const int64_t q = number(quota), p = number(period);
  return q > 0 && p > 0 ? static_cast<int>(std::clamp<int64_t>((q - 1) / p + 1, 1, most_threads)) : 0;
}

int quota_of(const fs::path& group) {
  if (const std::string line = first_line(group / "cpu.max"); !line.empty()) {
    const size_t blank = line.find(' ');
    return blank == std::string::npos ? 0 : cpus_of(line.substr(0, blank), line.substr(blank + 1));
  }
  return cpus_of(first_line(group / "cpu.cfs_quota_us"), first_line(group / "cpu.cfs_period_us"));
}

}  // namespace

int threads_in(const char* variable) {
  std::string_view text = variable ? variable : "";
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  if (error != std::errc{} || value < 1 || !(text.empty() || text.starts_with(','))) return 0;
  return static_cast<int>(std::min<int64_t>(value, most_threads));
}

int threads_granted(const fs::path& root) {
  int least = 0;
  for (const ControlGroup& group : control_groups(root, "cpu"))
    if (const int found = quota_of(group.folder); found > 0) least = least > 0 ? std::min(least, found) : found;
  return least;
}

int default_threads() {
  int threads = threads_in(std::getenv("OMP_NUM_THREADS"));
  if (threads == 0) {
    threads = std::min(allowed_cpus(), most_threads);
    if (const int granted = threads_granted(); granted > 0) threads = std::min(threads, granted);
  }
  const int limit = threads_in(std::getenv("OMP_THREAD_LIMIT"));
  return limit > 0 ? std::min(threads, limit) : threads;
}

// The heap gives a thread that asks for the first time an arena of its own, 64 MiB of addresses: a thread that is only
// started takes less than one that works.
static void ask_for_memory() {
  void* volatile block = std::malloc(1);
  std::free(block);
}

void require_threads(int count, const char* flag) {
  std::latch all_tried(1);
  std::vector<std::jthread> started;
  started.reserve(static_cast<size_t>(count));
  std::string problem;
  try {
    while (static_cast<int>(started.size()) + 1 < count)
      started.emplace_back([&] {
        ask_for_memory();
        all_tried.wait();
      });
  } catch (const std::system_error& error) {
    problem = error.code().message();
  }
  all_tried.count_down();
  if (!problem.empty())
    fail(Fault::memory, flag, " ", count, ": the system lets ", started.size() + 1, " start (", problem,
         "), expected at most that many");
}

}  // namespace shear
