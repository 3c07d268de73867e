// Kernels with one defect each.  The line that is wrong ends with its name, by which a test finds the line's number.
#include "emulator/defects/defects.h"

#include <map>

#include "backends/cuda/launch.h"
#include "emulator/host/device_vector.h"
#include "kernels/reduce.cuh"

extern __shared__ unsigned char dyn_smem[];

namespace shear::cuda::defects {

namespace {

constexpr int n = 64;  // threads of a block, two warps

using Kernel = void (*)(const float* x, float* y);

// -- Threads that miss each other ------------------------------------------------------------------------------------

__global__ void barrier_in_a_branch(const float*, float*) {
  if (threadIdx.x < 32) __syncthreads();  // barrier_in_a_branch
}

__global__ void two_barriers_meet(const float* x, float* y) {
  if (threadIdx.x < 32) {
    y[threadIdx.x] = x[threadIdx.x];
    __syncthreads();  // two_barriers_meet
  } else {
    y[threadIdx.x] = -x[threadIdx.x];
    __syncthreads();
  }
}

__global__ void shuffle_with_a_returned_lane(const float* x, float* y) {
  if (threadIdx.x % 32 == 31) return;
  y[threadIdx.x] = __shfl_up_sync(all_lanes, x[threadIdx.x], 1);  // shuffle_with_a_returned_lane
}

__global__ void whole_warp_in_a_branch(const float* x, float* y) {
  const float v = x[threadIdx.x];
  if (threadIdx.x % 32 < 16)
    y[threadIdx.x] = __shfl_down_sync(all_lanes, v, 1);  // whole_warp_in_a_branch
  else
    y[threadIdx.x] = __shfl_up_sync(all_lanes, v, 1);
}

__global__ void endless_wait(const float*, float* y) {
  if (threadIdx.x % 32 < 16)
    __syncthreads();  // endless_wait
  else
    y[threadIdx.x] = __shfl_sync(all_lanes, 1.0f, 0);  // of the lanes that wait at the barrier
}

// -- Stray accesses --------------------------------------------------------------------------------------------------

__global__ void write_past_the_end(const float* x, float* y) {
  y[threadIdx.x + 1] = x[threadIdx.x];  // write_past_the_end
}

__global__ void read_past_the_end(const float* x, float* y) {
  y[threadIdx.x] = x[threadIdx.x + 1];  // read_past_the_end
}

__global__ void shared_past_the_end(const float* x, float* y) {
  __shared__ float room[n];
  room[threadIdx.x + 1] = x[threadIdx.x];  // shared_past_the_end
  __syncthreads();
  y[threadIdx.x] = room[threadIdx.x == 0 ? 1 : threadIdx.x];
}

__global__ void dynamic_shared_past_the_launch(const float* x, float* y) {
  float* const room = reinterpret_cast<float*>(dyn_smem);  // launched with n floats
  room[threadIdx.x + 1] = x[threadIdx.x];                  // dynamic_shared_past_the_launch
  __syncthreads();
  y[threadIdx.x] = room[threadIdx.x + 1];
}

__global__ void unaligned_four(const float* x, float* y) {
  if (threadIdx.x == 3) *reinterpret_cast<float4*>(y + 1) = *reinterpret_cast<const float4*>(x + 4);  // unaligned_four
}

// -- Races -----------------------------------------------------------------------------------------------------------

__global__ void no_barrier_before_reading(const float* x, float* y) {
  __shared__ float room[n];
  room[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = room[n - 1 - threadIdx.x];  // no_barrier_before_reading
}

__global__ void no_barrier_after_reading(const float* x, float* y) {
  __shared__ float room[n];
  float sum = 0;
  for (int turn = 0; turn < 2; ++turn) {
    room[threadIdx.x] = x[threadIdx.x] + turn;  // no_barrier_after_reading
    __syncthreads();
    sum += room[n - 1 - threadIdx.x];
  }
  y[threadIdx.x] = sum;
}

__global__ void lockstep_is_assumed(const float* x, float* y) {
  __shared__ float room[n];
  room[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = room[threadIdx.x ^ 1];  // lockstep_is_assumed
}

__global__ void plain_sum_of_many(const float* x, float* y) {
  y[0] += x[threadIdx.x];  // plain_sum_of_many
}

__global__ void blocks_write_one_element(const float*, float* y) {
  y[threadIdx.x] = static_cast<float>(blockIdx.x);  // blocks_write_one_element
}

// -- Memory that nobody wrote ----------------------------------------------------------------------------------------

__global__ void unwritten_shared(const float* x, float* y) {
  __shared__ float room[n];
  if (threadIdx.x < 32) room[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = room[threadIdx.x];  // unwritten_shared
}

__global__ void unwritten_global(const float*, float* y) {
  y[threadIdx.x] = y[n - 1 - threadIdx.x] + 1;  // unwritten_global
}

__global__ void copies(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }

struct Defect {
  Kernel kernel;
  unsigned blocks = 1;
  size_t shared_bytes = 0;
};
const std::map<std::string_view, Defect>& all() {
  static const std::map<std::string_view, Defect> defects{
      {"barrier_in_a_branch", {barrier_in_a_branch}},
      {"two_barriers_meet", {two_barriers_meet}},
      {"shuffle_with_a_returned_lane", {shuffle_with_a_returned_lane}},
      {"whole_warp_in_a_branch", {whole_warp_in_a_branch}},
      {"endless_wait", {endless_wait}},
      {"write_past_the_end", {write_past_the_end}},
      {"read_past_the_end", {read_past_the_end}},
      {"shared_past_the_end", {shared_past_the_end}},
      {"dynamic_shared_past_the_launch", {dynamic_shared_past_the_launch, 1, n * sizeof(float)}},
      {"unaligned_four", {unaligned_four}},
      {"no_barrier_before_reading", {no_barrier_before_reading}},
      {"no_barrier_after_reading", {no_barrier_after_reading}},
      {"lockstep_is_assumed", {lockstep_is_assumed}},
      {"plain_sum_of_many", {plain_sum_of_many}},
      {"blocks_write_one_element", {blocks_write_one_element, 4}},
      {"unwritten_shared", {unwritten_shared}},
      {"unwritten_global", {unwritten_global}},
  };
  return defects;
}

}  // namespace

std::vector<std::string_view> names() {
  std::vector<std::string_view> out;
  for (const auto& [name, defect] : all()) out.push_back(name);
  return out;
}

std::vector<float> run(std::string_view name) {
  std::vector<float> values(n);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const test::DeviceVector<float> x(values), y(values.size());
  if (name == "plain_sum_of_many") check(cudaMemset(y.data(), 0, n * sizeof(float)), "cudaMemset", "test");
  if (name == "host_pointer") {
    launch(copies, 1, n, 0, nullptr, values.data(), y.data());
  } else {
    const Defect& defect = all().at(name);
    launch(defect.kernel, defect.blocks, n, defect.shared_bytes, nullptr, x.data(), y.data());
  }
  (void)cudaDeviceSynchronize();
  return y.get();
}

}  // namespace shear::cuda::defects
