// What the files of the emulation know of each other.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "cuda_host.h"
#include "cuda_runtime.h"

// `extern __shared__ unsigned char dyn_smem[]` in a kernel is this one array.
inline constexpr size_t cuda_host_dynamic_shared = 227 * 1024;
extern thread_local unsigned char dyn_smem[cuda_host_dynamic_shared];

namespace cuemu {

inline constexpr size_t static_shared_limit = 48 * 1024;

// -- reports.cpp -----------------------------------------------------------------------------------------------------
void report(const char* format, ...) __attribute__((format(printf, 1, 2)));
std::string place(const Site&);               // file:line, without directories
std::string kernel_name(const void* kernel);  // as the symbol table has it

// -- options.cpp -----------------------------------------------------------------------------------------------------
enum class Order : uint8_t { forward, reverse, random };
struct Options {
  Order order = Order::forward;
  uint64_t seed = 1;
  bool lazy = false, protect = false, abort = false, traffic = false, device_there = true;
  size_t memory = size_t{8} << 30;
};
Options& options();
void arrange(unsigned* indices, size_t n);  // into the order that is set

// -- block.cpp: one block at a time ----------------------------------------------------------------------------------
// Runs one block; false when its threads wait for each other for ever.
bool run_block(const Launch&, uint64_t block);
// Who runs just now.
struct Running {
  int thread = -1;  // its index in the block, -1: the host
  unsigned long long block = 0;
  const char *stack_low = nullptr, *stack_high = nullptr;
};
extern Running running;
Counts& mutable_counts();

// -- memory.cpp ------------------------------------------------------------------------------------------------------
struct Allocation {
  char* data;
  size_t bytes;
};
const Allocation* find_allocation(const void*);  // that holds the byte, or null
bool is_device_pointer(const void*);             // or one past the end of an allocation
bool on_device(const void*, size_t bytes);       // all of them in one allocation
bool is_pinned(const void*);
void release(void*);
// While one lives, device memory can be reached (CUEMU_PROTECT).
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

// -- streams.cpp -----------------------------------------------------------------------------------------------------
void submit(cudaStream_t, std::function<void()>);  // to run when its turn comes
cudaError_t remember(cudaError_t);                 // for cudaGetLastError
void device_failed();                              // a launch did: from now on every wait says so

// -- checker.cpp, where it is linked ---------------------------------------------------------------------------------
// Is told what the emulation does, and sees every access of a kernel by itself.
class Checker {
 public:
  virtual ~Checker() = default;
  virtual void launch_begins(const Launch&) = 0;
  virtual void launch_ends() = 0;
  virtual void block_begins(unsigned threads) = 0;
  virtual void block_barrier() = 0;
  virtual void warp_barrier(unsigned warp, unsigned lanes) = 0;
  virtual void allocated(char*, size_t bytes) = 0;
  virtual void freed(char*) = 0;
  virtual void written_by_host(const void*, size_t bytes) = 0;
  virtual void copied(const void* to, const void* from, size_t bytes) = 0;              // from device to device
  virtual void touched(const void*, size_t bytes, bool written, const void* code) = 0;  // by a kernel, in mma.h
  virtual void reports_were_taken() = 0;
  virtual std::vector<Traffic> traffic() const = 0;
};
extern Checker* checker;  // null where there is none

}  // namespace cuemu
