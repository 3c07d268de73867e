// The CPU backend itself, and what moves bytes.
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "cpu/cpu_backend.h"

namespace shear {

std::unique_ptr<Backend> make_cpu_backend(int threads, Precision precision) {
  return std::make_unique<cpu::CpuBackend>(threads, precision);
}

namespace cpu {

CpuBackend::CpuBackend(int threads, Precision precision)
    : threads_(threads > 0 ? threads : omp_get_num_procs()), precision_(precision) {
  packs_.reserve(static_cast<size_t>(threads_));
  for (int t = 0; t < threads_; ++t) packs_.emplace_back(memory_);
  row_sums_.resize(rows_at_once);
}

size_t CpuBackend::slab_bytes() const {
  return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGE_SIZE));
}

void CpuBackend::upload(void* device, const void* host, size_t bytes) { std::memcpy(device, host, bytes); }
void CpuBackend::download(void* host, const void* device, size_t bytes) { std::memcpy(host, device, bytes); }

void CpuBackend::fill(View out, float value) {
#pragma omp parallel for num_threads(threads_) schedule(static) if (out.elements() > 65536)
  for (int64_t r = 0; r < out.rows; ++r) std::fill_n(out.row(r), out.cols, value);
}

void CpuBackend::copy(ConstView x, float beta, View out) {
#pragma omp parallel for num_threads(threads_) schedule(static) if (out.elements() > 65536)
  for (int64_t r = 0; r < out.rows; ++r) {
    const float* from = x.row(r);
    float* to = out.row(r);
    if (beta == 0) {
      std::memcpy(to, from, static_cast<size_t>(out.cols) * sizeof(float));
    } else {
#pragma omp simd
      for (int64_t c = 0; c < out.cols; ++c) to[c] = from[c] + beta * to[c];
    }
  }
}

}  // namespace cpu
}  // namespace shear
