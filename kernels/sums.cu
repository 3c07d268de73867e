// Sums over columns and over everything.
//
// Bytes moved: 4 an element, each read once, which is the least, and the partial sums: at most 128 rows of them written
// and read by `column_sums` (4.13 counted for the first pass), 8 bytes for each of at most 512 blocks by the others
// (4.00, counted 4.02).
#include <array>

#include "backends/cuda/cuda_backend.h"
#include "kernels/column_sums.cuh"
#include "kernels/reduce.cuh"

namespace shear::cuda {

namespace {

constexpr int threads = 256;
constexpr int64_t most_blocks = 512;

struct Value {
  __device__ __forceinline__ double operator()(double x) const { return x; }
};
struct Square {
  __device__ __forceinline__ double operator()(double x) const { return x * x; }
};

// out[block] = sum of f(x) over the elements that the block looks at
template <class F>
__global__ void __launch_bounds__(threads)
    sum_kernel(F f, int64_t rows, int64_t cols, const float* x, int64_t stride, double* out) {
  __shared__ double room[most_warps];
  double mine = 0;
  for (int64_t r = blockIdx.y; r < rows; r += gridDim.y)
    for (int64_t c = int64_t{blockIdx.x} * threads + threadIdx.x; c < cols; c += int64_t{gridDim.x} * threads)
      mine += f(static_cast<double>(x[r * stride + c]));
  const double sum = block_sum(mine, room);
  if (threadIdx.x == 0) out[blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

__global__ void __launch_bounds__(threads)
    mean_kernel(int64_t blocks, const double* partial, double count, float* out) {
  __shared__ double room[most_warps];
  double mine = 0;
  for (int64_t i = threadIdx.x; i < blocks; i += threads) mine += partial[i];
  const double sum = block_sum(mine, room);
  if (threadIdx.x == 0) *out = static_cast<float>(sum / count);
}

// How many partial sums there are.
template <class F>
int64_t sum_up(On on, F f, ConstView x, double* partial) {
  if (x.contiguous()) x = {x.data, 1, x.elements(), x.elements()};
  constexpr int64_t each = 8;  // elements that a thread should have to make it worth its while
  dim3 grid = blocks_for(x.cols, threads * each, most_blocks);
  grid.y = static_cast<unsigned>(std::min(x.rows, most_blocks / std::max<int64_t>(1, grid.x)));
  launch(sum_kernel<F>, grid, threads, 0, on, f, x.rows, x.cols, x.row(0), x.stride, partial);
  return int64_t{grid.x} * grid.y;
}

}  // namespace

void CudaBackend::column_sums(ConstView x, float beta, View out) {
  add_up_columns(on("column_sums"), AsIs{}, x, beta, out, partial<float>(), partial_room<float>());
}

double CudaBackend::sum_squares(ConstView x) {
  std::array<double, most_blocks> sums;
  const auto blocks = static_cast<size_t>(sum_up(on("sum_squares"), Square{}, x, partial<double>()));
  download(sums.data(), partial<double>(), blocks * sizeof(double));
  double sum = 0;
  for (size_t i = 0; i < blocks; ++i) sum += sums[i];
  return sum;
}

void CudaBackend::mean(ConstView x, View out) {
  const int64_t blocks = sum_up(on("mean"), Value{}, x, partial<double>());
  launch(mean_kernel, 1, threads, 0, on("mean"), blocks, partial<double>(), static_cast<double>(x.elements()),
         out.row(0));
}

}  // namespace shear::cuda
