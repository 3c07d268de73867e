// How many threads a computation has where nobody says.
#include "shear/threads.h"

#include <doctest/doctest.h>
#include <sched.h>
#include <sys/resource.h>

#include <cstdlib>
#include <thread>

#include "errors.h"
#include "train_fixture.h"

using namespace shear;
using namespace shear::test;

TEST_CASE("OMP_NUM_THREADS is its first number, and nothing where it is none") {
  for (const auto& [text, threads] : std::vector<std::pair<const char*, int>>{{"1", 1},
                                                                              {"4,2,1", 4},
                                                                              {" 3 ", 3},
                                                                              {"3 , 2", 3},
                                                                              {"", 0},
                                                                              {"0", 0},
                                                                              {"-2", 0},
                                                                              {"many", 0},
                                                                              {"2x", 0},
                                                                              {"99999999999999999999", 0},
                                                                              {"100000", most_threads}}) {
    CAPTURE(text);
    CHECK(threads_in(text) == threads);
  }
  CHECK(threads_in(nullptr) == 0);
}

TEST_CASE("a quota of CPU time is so many threads, rounded up, the least of a group and those above it") {
  TempDir root;
  const auto group = [&](const std::string& line) { put_below(root / "proc/self/cgroup", line); };
  CHECK(threads_granted(root.path()) == 0);
  group("0::/a/b\n");
  CHECK(threads_granted(root.path()) == 0);
  put_below(root / "sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  CHECK(threads_granted(root.path()) == 0);
  put_below(root / "sys/fs/cgroup/a/cpu.max", "350000 100000\n");
  CHECK(threads_granted(root.path()) == 4);
  put_below(root / "sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
  CHECK(threads_granted(root.path()) == 1);
  group("0::/on/the/host\n");  // as a container without a namespace of its own sees it
  CHECK(threads_granted(root.path()) == 0);
  put_below(root / "sys/fs/cgroup/cpu.max", "200000 100000\n");
  CHECK(threads_granted(root.path()) == 2);
  group("0::/../outside\n");
  CHECK(threads_granted(root.path()) == 2);
  put_below(root / "sys/fs/cgroup/cpu.max", "nonsense\n");
  CHECK(threads_granted(root.path()) == 0);
}

TEST_CASE("the same of the first version of control groups, whatever the controller's folder is called") {
  for (const std::string mount : {"cpu", "cpu,cpuacct", "cpuacct,cpu"}) {
    TempDir root;
    put_below(root / "proc/self/cgroup",
              "9:name=systemd:/x\n4:memory:/m\n3:cpuset:/s\n2:" + mount + ":/jobs/7\n0::/\n");
    const auto quota = [&](const std::string& at, const std::string& microseconds) {
      put_below(root / ("sys/fs/cgroup/" + mount + at + "/cpu.cfs_period_us"), "100000\n");
      put_below(root / ("sys/fs/cgroup/" + mount + at + "/cpu.cfs_quota_us"), microseconds);
    };
    quota("", "-1\n");
    quota("/jobs", "-1\n");
    CHECK(threads_granted(root.path()) == 0);
    quota("/jobs/7", "100001\n");
    CHECK(threads_granted(root.path()) == 2);
    quota("/jobs", "99999\n");
    CHECK(threads_granted(root.path()) == 1);
  }
}

TEST_CASE("without a word the threads are those that the affinity mask and the environment allow") {
  const auto in_environment = [](const char* name, const char* value) {
    const char* before = std::getenv(name);
    const std::string kept = before ? before : "";
    value ? setenv(name, value, 1) : unsetenv(name);
    const int found = default_threads();
    before ? setenv(name, kept.c_str(), 1) : unsetenv(name);
    return found;
  };
  CHECK(in_environment("OMP_NUM_THREADS", "7,2") == 7);
  CHECK(in_environment("OMP_NUM_THREADS", "7") == 7);
  CHECK(in_environment("OMP_THREAD_LIMIT", "1") == 1);
  cpu_set_t before, one;
  REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu)
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  CHECK(in_environment("OMP_NUM_THREADS", nullptr) == 1);
  CHECK(in_environment("OMP_NUM_THREADS", "nonsense") == 1);
  REQUIRE(sched_setaffinity(0, sizeof before, &before) == 0);
}
