// Streams and events: a graph of pending work.  Eager: a piece runs when it is put in.  Lazy: when something waits for
// it, so that a host that reads too early reads what was there before.
#include <chrono>
#include <set>
#include <thread>
#include <vector>

#include "emulation.h"

namespace cuemu {
namespace {

struct Work {
  std::function<void()> run;
  std::vector<std::shared_ptr<Work>> after;
  bool done = false;
};
using WorkPtr = std::shared_ptr<Work>;

}  // namespace
}  // namespace cuemu

struct CUstream_st {
  cuemu::WorkPtr last;
  bool waits_for_default = true;  // and the default stream for it: without cudaStreamNonBlocking
};
struct CUevent_st {
  cuemu::WorkPtr work;
  std::shared_ptr<std::chrono::steady_clock::time_point> when =
      std::make_shared<std::chrono::steady_clock::time_point>();
};

namespace cuemu {
namespace {

CUstream_st default_stream;
std::set<CUstream_st*>& streams() {
  static auto* all = new std::set<CUstream_st*>;  // outlives what is destroyed at the end of the program
  return *all;
}
CUstream_st& stream_of(cudaStream_t s) { return s ? *s : default_stream; }
cudaError_t last_error = cudaSuccess;
bool failed = false;

void finish(const WorkPtr& wanted) {
  std::vector<WorkPtr> stack;
  if (wanted) stack.push_back(wanted);
  while (!stack.empty()) {
    const WorkPtr work = stack.back();
    const size_t depth = stack.size();
    if (!work->done)
      for (const WorkPtr& before : work->after)
        if (!before->done) stack.push_back(before);
    if (stack.size() > depth) continue;
    stack.pop_back();
    if (work->done) continue;
    work->done = true;
    work->after.clear();
    if (const auto run = std::move(work->run)) run();
  }
}

WorkPtr put(cudaStream_t s, std::function<void()> run, const WorkPtr& also_after = nullptr) {
  static const std::thread::id user = std::this_thread::get_id();
  if (std::this_thread::get_id() != user) report("a second host thread uses the device, the emulation serves one");
  CUstream_st& stream = stream_of(s);
  auto work = std::make_shared<Work>();
  work->run = std::move(run);
  const auto wait_for = [&](const WorkPtr& before) {
    if (before && !before->done) work->after.push_back(before);
  };
  wait_for(stream.last);
  wait_for(also_after);
  if (&stream == &default_stream) {
    for (const CUstream_st* other : streams())
      if (other->waits_for_default) wait_for(other->last);
  } else if (stream.waits_for_default) {
    wait_for(default_stream.last);
  }
  stream.last = work;
  if (!options().lazy) finish(work);
  return work;
}

cudaError_t outcome() { return failed ? cudaErrorLaunchFailure : cudaSuccess; }

// -- Copies ----------------------------------------------------------------------------------------------------------

cudaError_t check_copy(const void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const bool to_device = is_device_pointer(to), from_device = is_device_pointer(from);
  const bool says_to = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool says_from = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (kind != cudaMemcpyDefault && (says_to != to_device || says_from != from_device)) return cudaErrorInvalidValue;
  if ((to_device && !on_device(to, bytes)) || (from_device && !on_device(from, bytes))) return cudaErrorInvalidValue;
  return cudaSuccess;
}

void copy_now(void* to, const void* from, size_t bytes) {
  const DeviceAccess access;
  std::memmove(to, from, bytes);
  if (!checker || !is_device_pointer(to)) return;
  if (is_device_pointer(from)) {
    checker->copied(to, from, bytes);
  } else {
    checker->written_by_host(to, bytes);
  }
}

}  // namespace

void submit(cudaStream_t stream, std::function<void()> run) { put(stream, std::move(run)); }

cudaError_t remember(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

void device_failed() {
  failed = true;
  remember(cudaErrorLaunchFailure);
}

}  // namespace cuemu

using namespace cuemu;

cudaError_t cudaGetLastError() {
  if (failed) return cudaErrorLaunchFailure;
  return std::exchange(last_error, cudaSuccess);
}
cudaError_t cudaPeekAtLastError() { return last_error; }

cudaError_t cudaDeviceSynchronize() {
  finish(default_stream.last);
  for (const CUstream_st* stream : streams()) finish(stream->last);
  return outcome();
}

// -- Streams ---------------------------------------------------------------------------------------------------------

cudaError_t cudaStreamCreate(cudaStream_t* out) { return cudaStreamCreateWithFlags(out, cudaStreamDefault); }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* out, unsigned flags) {
  *out = new CUstream_st;
  (*out)->waits_for_default = !(flags & cudaStreamNonBlocking);
  streams().insert(*out);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (streams().erase(stream) == 0) return remember(cudaErrorInvalidResourceHandle);
  finish(stream->last);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  finish(stream_of(stream).last);
  return outcome();
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const WorkPtr& last = stream_of(stream).last;
  return last && !last->done ? cudaErrorNotReady : outcome();
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned /*flags*/) {
  put(stream, nullptr, event->work);
  return cudaSuccess;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* argument) {
  put(stream, [=] { function(argument); });
  return cudaSuccess;
}

// -- Events ----------------------------------------------------------------------------------------------------------

cudaError_t cudaEventCreate(cudaEvent_t* out) { return cudaEventCreateWithFlags(out, cudaEventDefault); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* out, unsigned /*flags*/) {
  *out = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->work = put(stream, [when = event->when] { *when = std::chrono::steady_clock::now(); });
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  finish(event->work);
  return outcome();
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  return event->work && !event->work->done ? cudaErrorNotReady : outcome();
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  if (!from->work || !to->work) return remember(cudaErrorInvalidResourceHandle);
  if (!from->work->done || !to->work->done) return cudaErrorNotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(*to->when - *from->when).count();
  return cudaSuccess;
}

// -- Copies ----------------------------------------------------------------------------------------------------------

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (const cudaError_t error = check_copy(to, from, bytes, kind)) return remember(error);
  const bool from_pageable = !is_device_pointer(from) && !is_pinned(from);
  const bool to_pageable = !is_device_pointer(to) && !is_pinned(to);
  if (options().lazy && from_pageable) {
    const auto* bytes_now = static_cast<const char*>(from);
    put(stream, [=, taken = std::vector<char>(bytes_now, bytes_now + bytes)] { copy_now(to, taken.data(), bytes); });
  } else {
    put(stream, [=] { copy_now(to, from, bytes); });
  }
  if (to_pageable) finish(stream_of(stream).last);
  return cudaSuccess;
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  if (const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, nullptr)) return error;
  return cudaStreamSynchronize(nullptr);
}
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  if (width > to_pitch || width > from_pitch) return remember(cudaErrorInvalidValue);
  for (size_t row = 0; row < height; ++row)
    if (const cudaError_t error =
            cudaMemcpyAsync(static_cast<char*>(to) + row * to_pitch, static_cast<const char*>(from) + row * from_pitch,
                            width, kind, stream))
      return error;
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (!on_device(to, bytes)) return remember(cudaErrorInvalidValue);
  put(stream, [=] {
    const DeviceAccess access;
    std::memset(to, value, bytes);
    if (checker) checker->written_by_host(to, bytes);
  });
  return cudaSuccess;
}
cudaError_t cudaMemset(void* to, int value, size_t bytes) { return cudaMemsetAsync(to, value, bytes, nullptr); }
