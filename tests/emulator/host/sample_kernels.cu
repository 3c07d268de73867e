#include "sample_kernels.h"

#include <mma.h>

#include "backends/cuda/launch.h"
#include "kernels/reduce.cuh"

extern __shared__ unsigned char dyn_smem[];

namespace shear::cuda::sample {

namespace {

constexpr int tile = 16;

__global__ void tiled_product_kernel(const float* a, const float* b, float* c, int m, int n, int k) {
  __shared__ float a_tile[tile][tile];
  __shared__ float b_tile[tile][tile + 1];
  const int x = threadIdx.x, y = threadIdx.y;
  const int row = blockIdx.y * tile + y, col = blockIdx.x * tile + x;
  float sum = 0.0f;
  for (int at = 0; at < k; at += tile) {
    a_tile[y][x] = row < m && at + x < k ? a[int64_t{row} * k + at + x] : 0.0f;
    b_tile[y][x] = col < n && at + y < k ? b[int64_t{at + y} * n + col] : 0.0f;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < tile; ++i) sum = fmaf(a_tile[y][i], b_tile[i][x], sum);
    __syncthreads();
  }
  if (row < m && col < n) c[int64_t{row} * n + col] = sum;
}

__global__ void __launch_bounds__(256) sum_kernel(const float* x, float* out, int n) {
  __shared__ float room[most_warps];
  float v = 0.0f;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) v += x[i];
  v = block_sum(v, room);
  if (threadIdx.x == 0) out[blockIdx.x] = v;
}

__global__ void histogram_kernel(const int* x, unsigned* counts, int n, int bins) {
  unsigned* const local = reinterpret_cast<unsigned*>(dyn_smem);
  for (int i = threadIdx.x; i < bins; i += blockDim.x) local[i] = 0;
  __syncthreads();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) atomicAdd(&local[x[i]], 1u);
  __syncthreads();
  for (int i = threadIdx.x; i < bins; i += blockDim.x)
    if (local[i] > 0) atomicAdd(&counts[i], local[i]);
}

__global__ void copy_in_fours_kernel(const float* x, float* y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x, fours = n / 4;
  if (i < fours) reinterpret_cast<float4*>(y)[i] = reinterpret_cast<const float4*>(x)[i];
  if (i < n - 4 * fours) y[4 * fours + i] = x[4 * fours + i];
}

__device__ __forceinline__ float warp_running_sum(float v, int lane) {
  for (int distance = 1; distance < 32; distance *= 2) {
    const float below = __shfl_up_sync(all_lanes, v, distance);
    if (lane >= distance) v += below;
  }
  return v;
}

__global__ void running_sum_kernel(const float* x, float* y, int n) {
  __shared__ float warp_sums[32];
  const int i = threadIdx.x, lane = i % 32, warp = i / 32;
  float v = warp_running_sum(i < n ? x[i] : 0.0f, lane);
  if (lane == 31) warp_sums[warp] = v;
  __syncthreads();
  if (warp == 0) warp_sums[lane] = warp_running_sum(warp_sums[lane], lane);
  __syncthreads();
  if (warp > 0) v += warp_sums[warp - 1];
  if (i < n) y[i] = v;
}

__global__ void transpose_kernel(const float* x, float* y, int rows, int cols) {
  __shared__ float square[32][33];
  int col = blockIdx.x * 32 + threadIdx.x, row = blockIdx.y * 32 + threadIdx.y;
  for (int j = 0; j < 32; j += 8)
    if (col < cols && row + j < rows) square[threadIdx.y + j][threadIdx.x] = x[int64_t{row + j} * cols + col];
  __syncthreads();
  col = blockIdx.y * 32 + threadIdx.x, row = blockIdx.x * 32 + threadIdx.y;
  for (int j = 0; j < 32; j += 8)
    if (col < rows && row + j < cols) y[int64_t{row + j} * rows + col] = square[threadIdx.x][threadIdx.y + j];
}

__global__ void votes_kernel(const float* x, Votes* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  const float v = i < n ? x[i] : 0.0f;
  Votes seen;
  seen.ballot = __ballot_sync(all_lanes, v > 0);
  seen.any = __any_sync(all_lanes, v > 0);
  seen.all = __all_sync(all_lanes, v > 0);
  seen.block_count = __syncthreads_count(v > 1);
  seen.block_any = __syncthreads_or(v > 1);
  seen.block_all = __syncthreads_and(v > 1);
  seen.from_lane_3 = __shfl_sync(all_lanes, v, 3);
  seen.from_above = __shfl_down_sync(all_lanes, v, 1);
  seen.from_below = __shfl_up_sync(all_lanes, v, 1);
  seen.from_partner = __shfl_xor_sync(all_lanes, v, 1);
  if (i < n) out[i] = seen;
}

__global__ void extremes_kernel(const int* x, int* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  atomicMax(&out[0], x[i]);
  atomicMin(&out[1], x[i]);
  if (x[i] % 2 == 0) atomicAdd(&out[2], 1);
  atomicOr(&out[3], x[i]);
}

__global__ void scale_kernel(Scaling s, float* y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = s.factor * s.x[i] + s.shift;
}

__global__ void scale_bf16_kernel(const __nv_bfloat16* x, float factor, __nv_bfloat16* y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = __float2bfloat16(__bfloat162float(x[i]) * factor);
}

// A warp computes 32 x 32 as four squares, from a strip of a and of b in shared memory.
template <class T>
__global__ void wmma_product_kernel(const T* a, const T* b, float* c, int n, int k) {
  namespace wmma = nvcuda::wmma;
  __shared__ __align__(32) T a_strip[32][16];
  __shared__ __align__(32) T b_strip[16][32];
  const int row = blockIdx.y * 32, col = blockIdx.x * 32, lane = threadIdx.x;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sums[2][2];
  for (auto& of_row : sums)
    for (auto& s : of_row) wmma::fill_fragment(s, 0.0f);
  for (int at = 0; at < k; at += 16) {
    for (int i = 0; i < 16; ++i) {
      a_strip[lane][i] = a[int64_t{row + lane} * k + at + i];
      b_strip[i][lane] = b[int64_t{at + i} * n + col + lane];
    }
    __syncwarp();
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 2; ++j) {
        wmma::fragment<wmma::matrix_a, 16, 16, 16, T, wmma::row_major> left;
        wmma::fragment<wmma::matrix_b, 16, 16, 16, T, wmma::row_major> right;
        wmma::load_matrix_sync(left, &a_strip[16 * i][0], 16);
        wmma::load_matrix_sync(right, &b_strip[0][16 * j], 32);
        wmma::mma_sync(sums[i][j], left, right, sums[i][j]);
      }
    __syncwarp();
  }
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 2; ++j) {
      for (int e = 0; e < sums[i][j].num_elements; ++e) sums[i][j].x[e] *= 0.5f;
      wmma::store_matrix_sync(c + int64_t{row + 16 * i} * n + col + 16 * j, sums[i][j], n, wmma::mem_row_major);
    }
}

__global__ void empty_kernel() {}

dim3 tiles(int n, int m, int side) { return dim3((n + side - 1) / side, (m + side - 1) / side); }

}  // namespace

void tiled_product(const float* a, const float* b, float* c, int m, int n, int k, cudaStream_t s) {
  launch(tiled_product_kernel, tiles(n, m, tile), dim3(tile, tile), 0, s, a, b, c, m, n, k);
}
void sum(const float* x, float* partial, float* out, int n, cudaStream_t s) {
  launch(sum_kernel, 64, 256, 0, s, x, partial, n);
  launch(sum_kernel, 1, 256, 0, s, partial, out, 64);
}
void histogram(const int* x, unsigned* counts, int n, int bins, cudaStream_t s) {
  check(cudaMemsetAsync(counts, 0, bins * sizeof(unsigned), s), "cudaMemsetAsync", "histogram");
  launch(histogram_kernel, 16, 256, bins * sizeof(unsigned), s, x, counts, n, bins);
}
void copy_in_fours(const float* x, float* y, int n, cudaStream_t s) {
  launch(copy_in_fours_kernel, blocks_for(n / 4 + 4, 256), 256, 0, s, x, y, n);
}
void running_sum(const float* x, float* y, int n, cudaStream_t s) {
  launch(running_sum_kernel, 1, 1024, 0, s, x, y, n);
}
void transpose(const float* x, float* y, int rows, int cols, cudaStream_t s) {
  launch(transpose_kernel, tiles(cols, rows, 32), dim3(32, 8), 0, s, x, y, rows, cols);
}
void votes(const float* x, Votes* out, int n, cudaStream_t s) {
  launch(votes_kernel, blocks_for(n, 64), 64, 0, s, x, out, n);
}
void extremes(const int* x, int* out, int n, cudaStream_t s) {
  launch(extremes_kernel, blocks_for(n, 128), 128, 0, s, x, out, n);
}
void scale(Scaling scaling, float* y, int n, cudaStream_t s) {
  launch(scale_kernel, blocks_for(n, 128), 128, 0, s, scaling, y, n);
}
void scale_bf16(const __nv_bfloat16* x, float factor, __nv_bfloat16* y, int n, cudaStream_t s) {
  launch(scale_bf16_kernel, blocks_for(n, 128), 128, 0, s, x, factor, y, n);
}
template <class T>
void wmma_product(const T* a, const T* b, float* c, int m, int n, int k, cudaStream_t s) {
  launch(wmma_product_kernel<T>, dim3(n / 32, m / 32), 32, 0, s, a, b, c, n, k);
}
template void wmma_product(const __half*, const __half*, float*, int, int, int, cudaStream_t);
template void wmma_product(const __nv_bfloat16*, const __nv_bfloat16*, float*, int, int, int, cudaStream_t);

void empty(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t s) {
  launch(empty_kernel, grid, block, shared_bytes, s);
}

}  // namespace shear::cuda::sample
