// The main of tests on the emulated device: what the emulation reported and no test took fails the run.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>

#include "cuda_host.h"
#include "shear/error.h"

// What each kernel moved, beside the least that it must.
static void print_traffic() {
  std::printf("%-60s %9s %12s %12s %12s %6s %6s\n", "kernel", "launches", "least", "asked for", "in sectors", "asked",
              "sector");
  for (const cuemu::Traffic& t : cuemu::traffic()) {
    const uint64_t least = t.least_read + t.least_written, asked = t.read + t.written;
    if (least == 0) continue;
    const auto times = [least](uint64_t bytes) { return static_cast<double>(bytes) / static_cast<double>(least); };
    std::printf("%-60s %9llu %12llu %12llu %12llu %6.2f %6.2f\n", t.kernel.c_str(),
                static_cast<unsigned long long>(t.launches), static_cast<unsigned long long>(least),
                static_cast<unsigned long long>(asked), static_cast<unsigned long long>(t.transferred), times(asked),
                times(t.transferred));
  }
}

int main(int argc, char** argv) {
  shear::spell_settings("--");
  doctest::Context context(argc, argv);
  const int failed = context.run();
  if (context.shouldExit()) return failed;
  if (const char* wanted = std::getenv("CUEMU_TRAFFIC"); wanted && *wanted == '1') print_traffic();
  const size_t reports = cuemu::report_count();
  if (reports > 0) std::fprintf(stderr, "cuda: %zu reports that no test expected, see above\n", reports);
  return failed != 0 ? failed : reports > 0;
}
