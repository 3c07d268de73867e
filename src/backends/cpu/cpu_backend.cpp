// The CPU backend itself, its threads and its memory.
#include <omp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "backends/cpu/cpu_backend.h"
#include "shear/error.h"
#include "shear/machine.h"
#include "shear/make_backend.h"
#include "shear/threads.h"

namespace shear {

std::unique_ptr<Backend> make_cpu_backend(int threads, Precision precision) {
  return std::make_unique<cpu::CpuBackend>(threads, precision);
}

// OpenMP's runtime ends the process where a thread of its does not start; once they are there, they stay.
void start_cpu_threads(int count) {
  if (omp_get_thread_limit() < count)
    fail(Fault::usage, setting("threads"), " ", count, ": OMP_THREAD_LIMIT allows ", omp_get_thread_limit(),
         ", expected at most that many");
  require_threads(count, setting("threads").c_str());
  int there = 0;
#pragma omp parallel num_threads(count) reduction(+ : there)
  there += 1;
  require(there == count, setting("threads"), " ", count, ": ", there, " of them started");
}

namespace cpu {

CpuBackend::CpuBackend(int threads, Precision precision)
    : threads_(threads > 0 ? threads : default_threads()), precision_(precision) {
  if (threads_ > most_threads)
    fail(Fault::usage, setting("threads"), " ", threads_, ": expected at most ", most_threads);
  omp_set_dynamic(0);  // as many threads as asked for
  packs_.reserve(static_cast<size_t>(threads_));
  for (int t = 0; t < threads_; ++t) packs_.emplace_back(memory_);
  row_sums_.resize(rows_at_once);
}

// Of what a limit leaves a half: the rest is for all else.
size_t CpuBackend::slab_bytes() const {
  return std::min({static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGE_SIZE)),
                   limit_left(RLIMIT_AS) / 2, limit_left(RLIMIT_DATA) / 2});
}

// Of nothing there may be no address, which memcpy does not take.
void CpuBackend::upload(void* device, const void* host, size_t bytes) {
  if (bytes > 0) std::memcpy(device, host, bytes);
}
void CpuBackend::download(void* host, const void* device, size_t bytes) {
  if (bytes > 0) std::memcpy(host, device, bytes);
}

}  // namespace cpu
}  // namespace shear
