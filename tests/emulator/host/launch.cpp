// Launches: what CUDA refuses, what it leaves undefined, and the blocks one after another.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <numeric>
#include <vector>

#include "emulation.h"

namespace cuemu {
namespace {

std::map<const void*, size_t>& allowed_shared() {
  static std::map<const void*, size_t> bytes;
  return bytes;
}

// Blocks keep to an order as threads do; a random one only where a list of them is not too long.
void run_blocks(const Launch& launch) {
  const uint64_t n = uint64_t{launch.grid.x} * launch.grid.y * launch.grid.z;
  std::vector<unsigned> order;
  if (options().order == Order::random && n <= uint64_t{1} << 24) {
    order.resize(n);
    std::iota(order.begin(), order.end(), 0u);
    arrange(order.data(), n);
  }
  for (uint64_t i = 0; i < n; ++i) {
    const uint64_t block = !order.empty() ? order[i] : options().order == Order::reverse ? n - 1 - i : i;
    if (!run_block(launch, block)) {
      device_failed();
      return;
    }
  }
}

#if !defined(__SANITIZE_ADDRESS__)
// A fault inside of a kernel: says whose it is, then ends as faults do.
void on_fault(int signal_number, siginfo_t* info, void*) {
  if (running.thread >= 0) {
    char text[200];
    const int n = std::snprintf(text, sizeof text, "cuda: signal %d at address %p in thread %d of block %llu\n",
                                signal_number, info->si_addr, running.thread, running.block);
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text, static_cast<size_t>(n));
  }
  signal(signal_number, SIG_DFL);
}

// While one lives, faults are a kernel's; before and after they are whoever's they were.
class FaultWatch {
 public:
  FaultWatch() {
    alignas(16) static char stack[64 * 1024];  // the fiber's own may be what overflowed
    stack_t alternative{};
    alternative.ss_sp = stack;
    alternative.ss_size = sizeof stack;
    sigaltstack(&alternative, &stack_before_);
    struct sigaction action {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &action, &segv_before_);
    sigaction(SIGBUS, &action, &bus_before_);
  }
  ~FaultWatch() {
    sigaction(SIGBUS, &bus_before_, nullptr);
    sigaction(SIGSEGV, &segv_before_, nullptr);
    sigaltstack(&stack_before_, nullptr);
  }
  FaultWatch(const FaultWatch&) = delete;
  FaultWatch& operator=(const FaultWatch&) = delete;

 private:
  stack_t stack_before_{};
  struct sigaction segv_before_ {
  }, bus_before_{};
};
#else
struct FaultWatch {  // AddressSanitizer does
  FaultWatch() {}
};
#endif

void run(const Launch& launch) {
  const DeviceAccess access;
  const FaultWatch watch;
  ++mutable_counts().launches;
  if (checker) checker->launch_begins(launch);
  run_blocks(launch);
  if (checker) checker->launch_ends();
}

}  // namespace

cudaError_t allow_dynamic_shared(const void* kernel, int bytes) {
  if (bytes < 0 || static_cast<size_t>(bytes) > cuda_host_dynamic_shared) return remember(cudaErrorInvalidValue);
  allowed_shared()[kernel] = static_cast<size_t>(bytes);
  return cudaSuccess;
}

void check_argument(const void* kernel, size_t index, const void* pointer) {
  if (pointer && !is_device_pointer(pointer))
    report("%s: argument %zu is %p, which is no address on the device", kernel_name(kernel).c_str(), index, pointer);
}

cudaError_t enqueue(Launch launch, cudaStream_t stream) {
  const dim3 g = launch.grid, b = launch.block;
  const bool block_fits =
      b.x >= 1 && b.y >= 1 && b.z >= 1 && b.x <= 1024 && b.y <= 1024 && b.z <= 64 && uint64_t{b.x} * b.y * b.z <= 1024;
  const bool grid_fits = g.x >= 1 && g.y >= 1 && g.z >= 1 && g.x <= 2147483647u && g.y <= 65535 && g.z <= 65535;
  if (!block_fits || !grid_fits) return remember(cudaErrorInvalidConfiguration);
  const auto allowed = allowed_shared().find(launch.kernel);
  if (launch.shared_bytes > std::max(static_shared_limit, allowed == allowed_shared().end() ? 0 : allowed->second))
    return remember(cudaErrorInvalidValue);
  submit(stream, [launch = std::move(launch)] { run(launch); });
  return cudaSuccess;
}

}  // namespace cuemu
