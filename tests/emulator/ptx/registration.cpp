// What nvcc's host code calls before main: every .cu file brings a fat binary, and names the kernels in it.
//
// The binary of a kernel as it is shipped holds machine code, and PTX that is compressed: what is interpreted then is
// the text that the build has kept, see Device.  The layout of a fat binary is not documented: 16 bytes of header hold
// its size at offset 8, and PTX that was not compressed (nvcc --no-compress, as tools/mutate has it) stands in it as
// text that ends with a zero byte.
#include <algorithm>
#include <cstring>

#include "device.h"

using shear::ptx::Device;

namespace {

struct FatBinary {  // what __cudaRegisterFatBinary is handed
  int magic, version;
  const char* data;
  void* file_name;
};

constexpr std::string_view ptx_begins = ".version ";

// Of PTX that is compressed the first bytes may be text too.
bool whole(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  const auto plain = [](char c) { return c == '\n' || c == '\t' || (c >= ' ' && c <= '~'); };
  return text.ends_with('}') && text.find(".entry ") != text.npos && std::all_of(text.begin(), text.end(), plain);
}

}  // namespace

extern "C" {

// The handle is the number of the module, plus one.
void** __cudaRegisterFatBinary(void* binary) {
  const char* data = static_cast<const FatBinary*>(binary)->data;
  uint64_t bytes;
  std::memcpy(&bytes, data + 8, sizeof bytes);
  const std::string_view all(data, bytes + 16);
  const size_t start = all.find(ptx_begins);
  std::string_view text = start == all.npos ? std::string_view() : all.substr(start, all.find('\0', start) - start);
  if (!whole(text)) text = {};
  return reinterpret_cast<void**>(static_cast<intptr_t>(Device::get().add_module(std::string(text)) + 1));
}

void __cudaRegisterFatBinaryEnd(void**) {}
char __cudaInitModule(void**) { return 1; }
void __cudaUnregisterFatBinary(void**) {}

void __cudaRegisterFunction(void** handle, const char* host_function, char*, const char* name, int, uint3*, uint3*,
                            dim3*, dim3*, int*) {
  Device::get().add_kernel(host_function, static_cast<int>(reinterpret_cast<intptr_t>(handle)) - 1, name);
}

// Constants of a .cu file that the host can name; no host code of ours does.
void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}

// nvcc's stubs for <<<>>> must link.  They are not called: launch() goes through cudaLaunchKernelExC.
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* host_function) {
  *kernel = static_cast<cudaKernel_t>(const_cast<void*>(host_function));
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments, size_t dynamic_bytes,
                               cudaStream_t) {
  return Device::get().launch(kernel, grid, block, arguments, dynamic_bytes);
}
cudaError_t __cudaPopCallConfiguration(dim3*, dim3*, size_t*, void*) {
  return Device::get().answer(cudaErrorNotSupported, "a launch by <<<>>>, expected one by launch()");
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* host_function, void** arguments) {
  return Device::get().launch(host_function, config->gridDim, config->blockDim, arguments, config->dynamicSmemBytes);
}

cudaError_t cudaFuncSetAttribute(const void* host_function, cudaFuncAttribute attribute, int value) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize)
    return Device::get().answer(cudaErrorNotSupported,
                                "cudaFuncSetAttribute: the stand-in knows dynamic shared memory alone");
  return Device::get().allow_dynamic(host_function, value);
}

}  // extern "C"
