// c = op(a) op(b) + beta * c.  The only file that includes Eigen.
//
// Eigen's blocked kernel does the work, called below its expression layer: so the packing buffers are ours (no
// allocation in a step), the blocking does not depend on the machine's caches (the same bits everywhere the
// instruction set is the same), and the split over threads is by output rows or columns alone.
#define EIGEN_DONT_PARALLELIZE
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <Eigen/Core>
#pragma GCC diagnostic pop

#include <omp.h>

#include <algorithm>
#include <cstring>

#include "cpu/cpu_backend.h"
#include "shear/error.h"

namespace shear::cpu {

namespace {

struct Blocking : Eigen::internal::level3_blocking<float, float> {
  explicit Blocking(PackBuffer& p) {
    m_blockA = p.left();
    m_blockB = p.right();
    m_mc = PackBuffer::wide;
    m_nc = PackBuffer::long_side;
    m_kc = PackBuffer::depth;
  }
};

// Eigen computes column-major: our row-major c is its transpose, c' = op(b)' op(a)'.  A row-major matrix that is not
// transposed is column-major to it.
template <int OrderOfB, int OrderOfA>
void multiply(ConstView a, ConstView b, int64_t inner, View c, PackBuffer& pack) {
  Blocking blocking(pack);
  Eigen::internal::general_matrix_matrix_product<Eigen::Index, float, OrderOfB, false, float, OrderOfA, false,
                                                 Eigen::ColMajor, 1>::run(c.cols, c.rows, inner, b.row(0), b.stride,
                                                                          a.row(0), a.stride, c.row(0), 1, c.stride,
                                                                          1.f, blocking, nullptr);
}

void prepare(float beta, View c, ConstView bias) {
  const bool biased = bias.data != nullptr;
  if (beta == 1 && !biased) return;
  for (int64_t r = 0; r < c.rows; ++r) {
    float* to = c.row(r);
    const float* from = biased ? bias.row(0) : nullptr;
    if (beta == 0) {
      if (biased)
        std::memcpy(to, from, static_cast<size_t>(c.cols) * sizeof(float));
      else
        std::memset(to, 0, static_cast<size_t>(c.cols) * sizeof(float));
    } else {
      for (int64_t i = 0; i < c.cols; ++i) to[i] = beta * to[i] + (biased ? from[i] : 0.f);
    }
  }
}

}  // namespace

PackBuffer::PackBuffer(Allocator& memory) : storage_(memory, bytes, Category::workspace) {}

Slice slice(int64_t n, int64_t grain, int index, int parts) {
  const int64_t units = (n + grain - 1) / grain;
  const int64_t first = std::min(n, units * index / parts * grain);
  const int64_t last = std::min(n, units * (index + 1) / parts * grain);
  return {first, last - first};
}

void gemm_serial(Transposed ta, ConstView a, Transposed tb, ConstView b, float beta, View c, ConstView bias,
                 PackBuffer& pack) {
  if (c.rows == 0 || c.cols == 0) return;
  prepare(beta, c, bias);
  const int64_t inner = ta == Transposed::yes ? a.rows : a.cols;
  if (inner == 0) return;
  constexpr int row = Eigen::RowMajor, column = Eigen::ColMajor;
  if (tb == Transposed::no)
    ta == Transposed::no ? multiply<column, column>(a, b, inner, c, pack) : multiply<column, row>(a, b, inner, c, pack);
  else
    ta == Transposed::no ? multiply<row, column>(a, b, inner, c, pack) : multiply<row, row>(a, b, inner, c, pack);
}

void CpuBackend::gemm(Transposed ta, ConstView a, Transposed tb, ConstView b, float beta, View c, ConstView bias) {
  const bool at = ta == Transposed::yes, bt = tb == Transposed::yes;
  require((at ? a.cols : a.rows) == c.rows && (bt ? b.rows : b.cols) == c.cols &&
              (at ? a.rows : a.cols) == (bt ? b.cols : b.rows),
          "gemm: (", a.rows, ", ", a.cols, ")", at ? "'" : "", " x (", b.rows, ", ", b.cols, ")", bt ? "'" : "",
          " -> (", c.rows, ", ", c.cols, ")");
  require(a.dtype == DType::f32 && b.dtype == DType::f32 && c.dtype == DType::f32, "gemm: f32 expected");
  const bool by_rows = c.rows >= c.cols;
#pragma omp parallel num_threads(threads_)
  {
    const int t = omp_get_thread_num(), n = omp_get_num_threads();
    if (by_rows) {
      const auto [first, count] = slice(c.rows, 16, t, n);
      const ConstView part =
          at ? ConstView(a.row(0) + first, a.rows, count, a.stride) : ConstView(a.row(first), count, a.cols, a.stride);
      gemm_serial(ta, part, tb, b, beta, c.band(first, count), bias, packs_[static_cast<size_t>(t)]);
    } else {
      const auto [first, count] = slice(c.cols, 16, t, n);
      const ConstView part =
          bt ? ConstView(b.row(first), count, b.cols, b.stride) : ConstView(b.row(0) + first, b.rows, count, b.stride);
      const ConstView its_bias = bias.data ? ConstView(bias.row(0) + first, 1, count, bias.stride) : ConstView{};
      gemm_serial(ta, a, tb, part, beta, View(c.row(0) + first, c.rows, count, c.stride), its_bias,
                  packs_[static_cast<size_t>(t)]);
    }
  }
}

}  // namespace shear::cpu
