// The main of tests on the emulated device: what the emulation reported and no test took fails the run.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

#include "cuda_host.h"

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  const int failed = context.run();
  if (context.shouldExit()) return failed;
  const size_t reports = cuemu::report_count();
  if (reports > 0) std::fprintf(stderr, "cuda: %zu reports that no test expected, see above\n", reports);
  return failed != 0 ? failed : reports > 0;
}
