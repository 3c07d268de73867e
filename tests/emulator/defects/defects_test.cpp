// Each planted defect is reported, by the leg that must and at the line where it is.  A defect runs in a process of its
// own, for some end it.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <fstream>
#include <string>
#include <vector>

#include "emulator/defects/defects.h"
#include "emulator/host/cuda_host.h"
#include "tests_dir.h"

using namespace shear::cuda;

extern "C" void __asan_init() __attribute__((weak));  // there where AddressSanitizer is

namespace {

bool sanitized() { return __asan_init != nullptr; }

// What is written to stderr while f runs in a child.
template <class F>
std::string stderr_of(F f) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    try {
      f();
    } catch (const std::exception&) {  // after a failed launch the device answers nothing else
    }
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  char part[4096];
  for (ssize_t got; (got = read(ends[0], part, sizeof part)) > 0;) text.append(part, static_cast<size_t>(got));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return text;
}

// "defects.cu:27": the line that ends with the defect's name.
std::string planted_at(std::string_view name) {
  std::ifstream in(tests_dir() / "emulator/defects/defects.cu");
  int number = 0, found = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.ends_with("// " + std::string(name))) found = number;
  }
  CHECK_MESSAGE(found > 0, name);
  return "defects.cu:" + std::to_string(found);
}

// What each leg must say; empty: it cannot see this one.
struct Expected {
  const char* emulated;
  const char* sanitized;
  const char* checked;
};
struct Row {
  const char* name;
  Expected says;
};

constexpr Row rows[] = {
    {"barrier_in_a_branch", {"reach the barrier", "reach the barrier", "reach the barrier"}},
    {"two_barriers_meet", {"divergent barriers", "divergent barriers", "divergent barriers"}},
    {"shuffle_with_a_returned_lane", {"which", "which", "which"}},
    {"whole_warp_in_a_branch", {"divergent warp", "divergent warp", "divergent warp"}},
    {"endless_wait", {"deadlock", "deadlock", "deadlock"}},
    {"write_past_the_end", {"in thread 63 of block 0", "AddressSanitizer", "past the end of a device allocation"}},
    {"read_past_the_end", {"in thread 63 of block 0", "AddressSanitizer", "past the end of a device allocation"}},
    {"shared_past_the_end", {"", "out of bounds for type", "shared access out of bounds"}},
    {"dynamic_shared_past_the_launch", {"", "", "past the dynamic shared memory of the launch"}},
    {"unaligned_four", {"in thread 3 of block 0", "misaligned address", "misaligned access"}},
    {"host_pointer", {"no address on the device", "no address on the device", "memory that is not the device's"}},
    {"no_barrier_before_reading", {"", "", "a race, read"}},
    {"no_barrier_after_reading", {"", "", "a race, write"}},
    {"lockstep_is_assumed", {"", "", "a race, read"}},
    {"plain_sum_of_many", {"", "", "a race, "}},
    {"blocks_write_one_element", {"", "", "written by another block"}},
    {"unwritten_shared", {"", "", "uninitialised memory, of byte 128 of shared room (256 bytes)"}},
    {"unwritten_global", {"", "", "uninitialised memory, of byte 252 of a device allocation"}},
};

}  // namespace

TEST_CASE("every planted defect has its row") {
  for (const std::string_view name : defects::names())
    CHECK_MESSAGE(std::any_of(std::begin(rows), std::end(rows), [&](const Row& r) { return name == r.name; }), name);
}

TEST_CASE("each planted defect is reported by the legs that can see it, at its line") {
  for (const auto& [name, says] : rows) {
    CAPTURE(std::string(name));
    const char* const expected = cuemu::checked() ? says.checked : sanitized() ? says.sanitized : says.emulated;
    const std::string text = stderr_of([name] { defects::run(name); });
    CAPTURE(text);
    if (*expected == 0)
      CHECK(text.empty());
    else
      CHECK(text.find(expected) != text.npos);
    if (cuemu::checked() && std::string_view(name) != "host_pointer") CHECK(text.find(planted_at(name)) != text.npos);
  }
}

TEST_CASE("a missing barrier or a number that nobody wrote changes values in some order of threads") {
  if (cuemu::checked() || sanitized()) return;  // they say so, see above
  const auto values = [](const char* name, const char* order) {
    cuemu::set_order(order);
    const std::vector<float> y = defects::run(name);
    cuemu::set_order("");
    return y;
  };
  for (const char* name : {"no_barrier_before_reading", "no_barrier_after_reading"})
    CHECK_MESSAGE(values(name, "forward") != values(name, "random:3"), name);
  CHECK(std::isnan(values("unwritten_global", "forward")[0]));
}
