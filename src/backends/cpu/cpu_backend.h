// The CPU backend: Eigen's GEMM kernel in gemm.cpp, OpenMP loops for the rest, a file per group of kernels.
//
// Results depend on shapes alone, neither on timing nor on the number of threads: a sum that threads share is cut into
// parts that follow from its shape, and the parts are added in their order.  (A BLAS, where Shear was built with one,
// splits products its own way.)
#pragma once
#include <vector>

#include "shear/backend.h"

namespace shear::cpu {

// Panels that the GEMM packs its operands into, one set per thread.
class PackBuffer {
 public:
  // Multiplications are accumulated over blocks of `depth` at a time.  The order of summation over a long inner
  // dimension therefore does not change when a caller cuts it into bands of a multiple of `depth` rows.
  static constexpr int64_t wide = 192, depth = 576, long_side = 1024;
  static constexpr size_t bytes = static_cast<size_t>(wide * depth + depth * long_side) * sizeof(float);

  explicit PackBuffer(Allocator&);
  float* left() const { return static_cast<float*>(storage_.data()); }
  float* right() const { return left() + wide * depth; }

 private:
  Storage storage_;
};

// c = op(a) op(b) + beta * c (+ bias on every row) on the calling thread.
void gemm_serial(Transposed ta, ConstView a, Transposed tb, ConstView b, float beta, View c, ConstView bias,
                 PackBuffer&);

// A slice [first, first + count) of n, the part of thread `index` of `parts`, in multiples of `grain`.
struct Slice {
  int64_t first, count;
};
Slice slice(int64_t n, int64_t grain, int64_t index, int64_t parts);

class CpuBackend final : public Backend {
 public:
  CpuBackend(int threads, Precision);

  std::string_view name() const override { return "cpu"; }
  Precision precision() const override { return precision_; }
  Allocator& memory() override { return memory_; }
  size_t slab_bytes() const override;  // the machine's memory, or what limits leave: reserved, not touched
  size_t resident_bytes() const override { return packs_.size() * PackBuffer::bytes; }

  void upload(void* device, const void* host, size_t bytes) override;
  void download(void* host, const void* device, size_t bytes) override;

  // A group of kernels, include/shear/kernels/NAME.inc, is in NAME.cpp here.
#define SHEAR_KERNEL(result, name, parameters, names) result name parameters override
#define SHEAR_SCRATCH(name, type, of) int64_t name(type of) const override
#include "shear/kernels/list.inc"

 private:
  static constexpr size_t rows_at_once = 4096;  // whose sums wait to be added

  int threads_;
  Precision precision_;
  HostAllocator memory_;
  std::vector<PackBuffer> packs_;  // one per thread
  std::vector<double> row_sums_;   // of sum_squares
};

}  // namespace shear::cpu
