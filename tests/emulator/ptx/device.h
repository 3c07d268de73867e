// The device that the stand-in runtime offers: its memory, the kernels that the program registered, its last error.
// One host thread may use it; everything that is put on a stream has been done when the call returns.
#pragma once
#include <cuda_runtime.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "block.h"

namespace shear::ptx {

// What is wrong with a launch, a copy or a gemm: told where CUDA tells it, by cudaGetErrorString.
struct Failure {
  cudaError_t code = cudaSuccess;
  std::string sentence;
};

class Device {
 public:
  static Device& get();

  // A PTX text from the program's fat binary, read when a kernel of it is launched first; an empty one: its kernels are
  // in the texts that the build has kept.
  int add_module(std::string text);
  void add_kernel(const void* host_function, int module, const char* name);
  cudaError_t allow_dynamic(const void* host_function, int bytes);
  cudaError_t launch(const void* host_function, dim3 grid, dim3 block, void** arguments, size_t dynamic_bytes);

  cudaError_t answer(cudaError_t, std::string sentence = "");  // keeps it for last_failure unless it is success
  cudaError_t take_last_error();
  const char* sentence_of(cudaError_t) const;
  bool reaches(const void* p, size_t bytes) const { return memory.holds(reinterpret_cast<uint64_t>(p), bytes); }

  Memory memory{size_t{1} << 30};
  uint64_t instructions = 0;

 private:
  // CUEMU_ORDER=forward|reverse|random[:seed], as on the host emulation; CUEMU_PTX=75, or another architecture whose
  // PTX the build has kept
  Device();

  struct Image {
    std::string text;
    Module module;
    bool read = false;
  };
  struct Entry {
    size_t image;
    std::string name;
    size_t most_dynamic = 48 * 1024;
  };
  const Module& module_of(const Entry&);
  void find_kept();

  std::vector<std::unique_ptr<Image>> images_;
  std::unordered_map<const void*, Entry> kernels_;
  std::unordered_map<std::string, Image*> kept_;  // by the name of a kernel in it
  std::string architecture_;
  Failure last_;
  Order order_ = Order::forward;
  uint32_t seed_ = 1;
};

}  // namespace shear::ptx
