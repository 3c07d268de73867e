// What a test may ask of the emulated device beyond CUDA.
//
// The blocks of a launch run one after another on the thread that waits for them; the threads of a block are fibers,
// which change places only where they wait for each other.  So barriers, shared memory, shuffles and votes mean what
// they mean on a device, and a debugger or a sanitizer sees a plain C++ program.  One host thread may use the device.
//
// Environment, read once:
//   CUEMU_ORDER=forward|reverse|random[:seed]   in which order blocks, and threads that may run, do so
//   CUEMU_STREAMS=eager|lazy                    lazy: what is put on a stream runs only when something waits for it
//   CUEMU_PROTECT=1                             device memory is out of the host's reach while no kernel runs
//   CUEMU_MEMORY=bytes                          the device's memory, 8 GiB if not said
//   CUEMU_DEVICES=0                             there is no device
//   CUEMU_TRAFFIC=1                             the checker counts sectors too, and the tests' main prints the table
//   CUEMU_ABORT=1                               a report aborts, for a debugger to stop there
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cuemu {

// -- Reports ---------------------------------------------------------------------------------------------------------
// What is wrong with a kernel or with a use of the runtime, a sentence each, goes to stderr and is kept here.
std::vector<std::string> take_reports();  // since the last call, oldest first
size_t report_count();                    // that nobody took
void print_reports(bool);                 // to stderr; at first true
bool checked();                           // whether kernels are compiled for the checker, and it is linked

// -- How things run; the environment says how they do at first -------------------------------------------------------
void set_order(std::string_view);    // as CUEMU_ORDER; empty: as the environment has it
void set_streams(std::string_view);  // as CUEMU_STREAMS; empty: as the environment has it; waits for the device
void set_device_there(bool);         // as CUEMU_DEVICES
bool count_sectors(bool);            // as CUEMU_TRAFFIC; returns what was

// -- Memory ----------------------------------------------------------------------------------------------------------
struct Memory {
  size_t live, peak;  // bytes as they were asked for
  size_t limit;
};
Memory memory();
void restart_peak();
void set_memory_limit(size_t bytes);

// -- Counts ----------------------------------------------------------------------------------------------------------
struct Counts {
  uint64_t launches = 0, blocks = 0, threads = 0, switches = 0;
};
const Counts& counts();

// Bytes of device memory that a kernel reads and writes, over all of its launches, where the checker is linked.  The
// least that it must move: each byte that came from before the launch read once, each byte that it leaves written once.
struct Traffic {
  std::string kernel;
  uint64_t launches = 0;
  uint64_t read = 0, written = 0;              // by every access
  uint64_t least_read = 0, least_written = 0;  // distinct bytes of each launch
  uint64_t transferred = 0;  // in sectors of 32 bytes, where lanes of a warp share those that they ask for together;
                             // with CUEMU_TRAFFIC=1
};
std::vector<Traffic> traffic();  // in order of names

}  // namespace cuemu
