// The runtime's functions: devices, memory, streams, events, launches.  What CUDA refuses is refused with its error;
// what CUDA leaves undefined (a host pointer handed to a kernel) is reported, see cuda_host.h.
//
// A copy from pageable host memory takes the bytes when it is called, and one to pageable memory returns when they are
// there, as CUDA has it; from and to memory of cudaMallocHost both wait for their turn on the stream.
#pragma once
#include <functional>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "cuda_types.h"

cudaError_t cudaGetDeviceCount(int*);
cudaError_t cudaGetDevice(int*);
cudaError_t cudaSetDevice(int);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp*, int device);
cudaError_t cudaDeviceGetAttribute(int*, cudaDeviceAttr, int device);
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaGetLastError();
cudaError_t cudaPeekAtLastError();
const char* cudaGetErrorName(cudaError_t);
const char* cudaGetErrorString(cudaError_t);

cudaError_t cudaFree(void*);
cudaError_t cudaFreeAsync(void*, cudaStream_t);
cudaError_t cudaFreeHost(void*);
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t = nullptr);
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind, cudaStream_t = nullptr);
cudaError_t cudaMemset(void*, int value, size_t bytes);
cudaError_t cudaMemsetAsync(void*, int value, size_t bytes, cudaStream_t = nullptr);

cudaError_t cudaStreamCreate(cudaStream_t*);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t*, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t);
cudaError_t cudaStreamSynchronize(cudaStream_t);
cudaError_t cudaStreamQuery(cudaStream_t);
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned flags = 0);
cudaError_t cudaLaunchHostFunc(cudaStream_t, cudaHostFn_t, void* argument);

cudaError_t cudaEventCreate(cudaEvent_t*);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t*, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t);
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t = nullptr);
cudaError_t cudaEventSynchronize(cudaEvent_t);
cudaError_t cudaEventQuery(cudaEvent_t);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to);

// What the templates below stand on.
namespace cuemu {

cudaError_t allocate(void**, size_t bytes);
cudaError_t allocate_async(void**, size_t bytes, cudaStream_t);
cudaError_t allocate_host(void**, size_t bytes);
cudaError_t allow_dynamic_shared(const void* kernel, int bytes);
cudaError_t copy_to_symbol(void* symbol, const void* from, size_t bytes, size_t offset);
void check_argument(const void* kernel, size_t index, const void* pointer);
template <class T>
void check_if_pointer(const void* kernel, size_t index, const T& value) {
  if constexpr (std::is_pointer_v<T>) check_argument(kernel, index, value);
}

// A launch as it waits on its stream: the kernel, its arguments, and a function that calls the one with the other.
struct Launch {
  const void* kernel;
  dim3 grid, block;
  size_t shared_bytes;                  // dynamic
  void (*call)(const void* arguments);  // as one thread
  std::shared_ptr<const void> arguments;
  size_t arguments_bytes;
};
cudaError_t enqueue(Launch, cudaStream_t);

#define CUDA_HOST_UNCHECKED __attribute__((no_sanitize("thread")))  // the emulation's own accesses are not a kernel's

template <class... P>
struct Call {
  void (*kernel)(P...);
  std::tuple<std::decay_t<P>...> arguments;

  template <size_t... I>
  CUDA_HOST_UNCHECKED void run(std::index_sequence<I...>) const {
    kernel(std::get<I>(arguments)...);
  }
  CUDA_HOST_UNCHECKED static void run(const void* call) {
    static_cast<const Call*>(call)->run(std::index_sequence_for<P...>{});
  }
};

}  // namespace cuemu

template <class T>
cudaError_t cudaMalloc(T** pointer, size_t bytes) {
  return cuemu::allocate(reinterpret_cast<void**>(pointer), bytes);
}
template <class T>
cudaError_t cudaMallocAsync(T** pointer, size_t bytes, cudaStream_t stream) {
  return cuemu::allocate_async(reinterpret_cast<void**>(pointer), bytes, stream);
}
template <class T>
cudaError_t cudaMallocHost(T** pointer, size_t bytes, unsigned /*flags*/ = 0) {
  return cuemu::allocate_host(reinterpret_cast<void**>(pointer), bytes);
}
template <class T>
cudaError_t cudaHostAlloc(T** pointer, size_t bytes, unsigned /*flags*/) {
  return cuemu::allocate_host(reinterpret_cast<void**>(pointer), bytes);
}
template <class F>
cudaError_t cudaFuncSetAttribute(F* kernel, cudaFuncAttribute, int bytes) {
  return cuemu::allow_dynamic_shared(reinterpret_cast<const void*>(kernel), bytes);
}
template <class T>
cudaError_t cudaMemcpyToSymbol(T& symbol, const void* from, size_t bytes, size_t offset = 0,
                               cudaMemcpyKind = cudaMemcpyHostToDevice) {
  return cuemu::copy_to_symbol(&symbol, from, bytes, offset);
}

// The launch that needs no <<<>>>.
template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...), A&&... arguments) {
  static_assert(sizeof...(P) == sizeof...(A), "a launch takes as many arguments as its kernel");
  static_assert((sizeof(P) + ... + 0) <= 4096, "a kernel takes at most 4 KiB of arguments");
  const auto call =
      std::make_shared<cuemu::Call<P...>>(cuemu::Call<P...>{kernel, {static_cast<P>(std::forward<A>(arguments))...}});
  const void* address = reinterpret_cast<const void*>(kernel);
  std::apply(
      [address](const auto&... value) {
        [[maybe_unused]] size_t index = 0;
        (cuemu::check_if_pointer(address, index++, value), ...);
      },
      call->arguments);
  return cuemu::enqueue({address, config->gridDim, config->blockDim, config->dynamicSmemBytes, cuemu::Call<P...>::run,
                         call, sizeof(cuemu::Call<P...>)},
                        config->stream);
}
