// The CUDA runtime's functions that the backend uses, on the interpreted device.  Against NVIDIA's own headers, so that
// signatures cannot drift.
#include <cstdlib>
#include <cstring>

#include "device.h"

using shear::text;
using shear::ptx::Device;

namespace {

cudaError_t refuse(const char* call, const char* what, size_t bytes) {
  return Device::get().answer(cudaErrorInvalidValue, text(call, ": ", bytes, " bytes ", what,
                                                          " that is not within one allocation of the device"));
}

cudaError_t copy(const char* call, void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (bytes == 0) return cudaSuccess;
  if (to_device && !Device::get().reaches(to, bytes)) return refuse(call, "to memory", bytes);
  if (from_device && !Device::get().reaches(from, bytes)) return refuse(call, "from memory", bytes);
  if (!to_device && Device::get().reaches(to, 1)) return refuse(call, "to the host, expected memory", bytes);
  std::memmove(to, from, bytes);
  return cudaSuccess;
}

// Streams and events are names: nothing is ever under way.
template <class T>
cudaError_t create(T* handle) {
  *handle = reinterpret_cast<T>(std::malloc(1));
  return *handle ? cudaSuccess : cudaErrorMemoryAllocation;
}
template <class T>
cudaError_t destroy(T handle) {
  std::free(reinterpret_cast<void*>(handle));
  return cudaSuccess;
}

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  return device == 0 ? cudaSuccess
                     : Device::get().answer(cudaErrorInvalidDevice, text("device ", device, ", there is one, 0"));
}
cudaError_t cudaGetLastError() { return Device::get().take_last_error(); }

const char* cudaGetErrorName(cudaError_t code) {
  switch (code) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidDeviceFunction:
      return "cudaErrorInvalidDeviceFunction";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorInvalidPtx:
      return "cudaErrorInvalidPtx";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    case cudaErrorNotSupported:
      return "cudaErrorNotSupported";
    default:
      return "an error that the stand-in never answers";
  }
}
const char* cudaGetErrorString(cudaError_t code) { return Device::get().sentence_of(code); }

cudaError_t cudaMalloc(void** p, size_t bytes) {
  *p = bytes ? Device::get().memory.allocate(bytes) : nullptr;
  if (*p || bytes == 0) return cudaSuccess;
  return Device::get().answer(cudaErrorMemoryAllocation, text(bytes, " bytes are more than is free"));
}
cudaError_t cudaFree(void* p) {
  if (!p || Device::get().memory.release(p)) return cudaSuccess;
  return Device::get().answer(cudaErrorInvalidValue, "cudaFree: no allocation of the device starts there");
}
cudaError_t cudaMallocHost(void** p, size_t bytes) {
  *p = std::malloc(bytes);
  return *p ? cudaSuccess : Device::get().answer(cudaErrorMemoryAllocation, text(bytes, " bytes of the host"));
}
cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned) { return cudaMallocHost(p, bytes); }
cudaError_t cudaFreeHost(void* p) {
  std::free(p);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  const auto& memory = Device::get().memory;
  *total = memory.limit();
  *available = memory.limit() - memory.used();
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return copy("cudaMemcpy", to, from, bytes, kind);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t) {
  return copy("cudaMemcpyAsync", to, from, bytes, kind);
}
cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t) {
  if (bytes && !Device::get().reaches(p, bytes)) return refuse("cudaMemsetAsync", "of memory", bytes);
  if (bytes) std::memset(p, value, bytes);
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) { return create(stream); }
cudaError_t cudaStreamDestroy(cudaStream_t stream) { return destroy(stream); }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return create(event); }
cudaError_t cudaEventDestroy(cudaEvent_t event) { return destroy(event); }
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }

}  // extern "C"
