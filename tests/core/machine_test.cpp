// What the machine has left, by files that say so.
#include <doctest/doctest.h>

#include "core/control_group.h"
#include "shear/machine.h"
#include "train_fixture.h"

using namespace shear;
using namespace shear::test;
namespace fs = std::filesystem;

namespace {

constexpr size_t mib = size_t{1} << 20;

struct Machine {
  TempDir dir;
  Machine() { put_below(dir / "proc/meminfo", "MemTotal: 9000000 kB\nMemAvailable: 2048000 kB\nSwapFree: 0 kB\n"); }
  void group(const std::string& file, const std::string& content) { put_below(dir / "sys/fs/cgroup" / file, content); }
};

}  // namespace

TEST_CASE("without control groups what is left is what the kernel says is available, and free swap") {
  const Machine m;
  CHECK(memory_left(m.dir.path()).bytes == 2000 * mib);
  CHECK(memory_left(m.dir.path()).of == "the machine");
  put_below(m.dir / "proc/meminfo", "MemAvailable: 2048000 kB\nSwapFree: 1024 kB\n");
  CHECK(memory_left(m.dir.path()).bytes == 2001 * mib);
}

TEST_CASE("a control group of version 2 limits to what it allows beyond what it holds, but for caches of files") {
  Machine m;
  put_below(m.dir / "proc/self/cgroup", "0::/jobs/one\n");
  m.group("jobs/one/memory.max", std::to_string(1000 * mib) + "\n");
  m.group("jobs/one/memory.current", std::to_string(700 * mib) + "\n");
  m.group("jobs/one/memory.stat", "anon 1\ninactive_file " + std::to_string(200 * mib) + "\nactive_file 5\n");
  CHECK(memory_left(m.dir.path()).bytes == 500 * mib);
  CHECK(memory_left(m.dir.path()).of == "the control group /jobs/one");
  // One above it allows less.
  m.group("jobs/memory.max", std::to_string(5000 * mib) + "\n");
  m.group("jobs/memory.current", std::to_string(4700 * mib) + "\n");
  CHECK(memory_left(m.dir.path()).bytes == 300 * mib);
  CHECK(memory_left(m.dir.path()).of == "the control group /jobs");
  m.group("jobs/memory.max", "max\n");
  CHECK(memory_left(m.dir.path()).bytes == 500 * mib);
}

TEST_CASE("swap counts as far as the group may use it") {
  Machine m;
  put_below(m.dir / "proc/meminfo", "MemAvailable: 2048000 kB\nSwapFree: 409600 kB\n");
  put_below(m.dir / "proc/self/cgroup", "0::/job\n");
  m.group("job/memory.max", std::to_string(100 * mib) + "\n");
  m.group("job/memory.current", "0\n");
  CHECK(memory_left(m.dir.path()).bytes == 100 * mib);
  m.group("job/memory.swap.current", std::to_string(10 * mib) + "\n");
  m.group("job/memory.swap.max", std::to_string(60 * mib) + "\n");
  CHECK(memory_left(m.dir.path()).bytes == 150 * mib);
  m.group("job/memory.swap.max", "max\n");
  CHECK(memory_left(m.dir.path()).bytes == 500 * mib);
}

TEST_CASE("version 1 has a folder for each controller, and a container sees its own group as the topmost") {
  Machine m;
  put_below(m.dir / "proc/self/cgroup", "9:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/\n");
  m.group("memory/memory.limit_in_bytes", std::to_string(300 * mib) + "\n");
  m.group("memory/memory.usage_in_bytes", std::to_string(100 * mib) + "\n");
  m.group("memory/memory.stat", "cache 7\ntotal_inactive_file " + std::to_string(50 * mib) + "\n");
  CHECK(memory_left(m.dir.path()).bytes == 250 * mib);
  const auto groups = control_groups(m.dir.path(), "memory");
  REQUIRE(groups.size() == 2);  // of version 2 the mount alone
  CHECK(groups[0].name == "/");
  CHECK(groups[0].version == 1);
}

TEST_CASE("what this machine has left is something") { CHECK(memory_left().bytes > mib); }
