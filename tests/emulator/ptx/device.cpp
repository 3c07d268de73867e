#include "device.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace shear::ptx {

namespace {

// The least that any of our targets offers a block that asks for more than 48 KiB (sm_75).
constexpr size_t most_shared = 64 * 1024;

Dim dim_of(dim3 d) { return {d.x, d.y, d.z}; }

}  // namespace

Device& Device::get() {
  static Device device;
  return device;
}

Device::Device() {
  const char* set = std::getenv("CUEMU_ORDER");
  const std::string_view order = set ? set : "forward", word = order.substr(0, order.find(':'));
  if (word == "reverse")
    order_ = Order::reverse;
  else if (word == "random")
    order_ = Order::random;
  else if (word != "forward")
    fail(Fault::usage, "CUEMU_ORDER is ", order, ", expected forward, reverse or random[:seed]");
  const char* architecture = std::getenv("CUEMU_PTX");
  architecture_ = architecture ? architecture : SHEAR_PTX_ARCHITECTURE;
  if (word != order) seed_ = static_cast<uint32_t>(std::strtoul(order.data() + word.size() + 1, nullptr, 10));
}

int Device::add_module(std::string text) {
  images_.push_back(std::make_unique<Image>());
  images_.back()->text = std::move(text);
  return static_cast<int>(images_.size()) - 1;
}

// NAME.ARCHITECTURE.ptx, from tools/compile_kernel.
void Device::find_kept() {
  constexpr std::string_view entry = ".entry ";
  const std::string ending = "." + architecture_ + ".ptx";
  std::istringstream folders(SHEAR_PTX_FOLDERS);
  for (std::string folder; std::getline(folders, folder, ':');)
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
      if (!file.path().filename().string().ends_with(ending)) continue;
      std::ostringstream all;
      all << std::ifstream(file.path()).rdbuf();
      Image& image = *images_[static_cast<size_t>(add_module(all.str()))];
      const std::string_view text = image.text;
      for (size_t at = text.find(entry); at != text.npos; at = text.find(entry, at)) {
        at += entry.size();
        kept_[std::string(text.substr(at, text.find_first_of("( \n", at) - at))] = &image;
      }
    }
  if (kept_.empty())
    fail(Fault::usage, "CUEMU_PTX is ", architecture_, ", but there is no *", ending, " in ", SHEAR_PTX_FOLDERS);
}

const Module& Device::module_of(const Entry& entry) {
  Image* image = images_[entry.image].get();
  if (image->text.empty()) {
    if (kept_.empty()) find_kept();
    const auto found = kept_.find(entry.name);
    if (found == kept_.end()) fail(Fault::input, "no PTX holds ", entry.name);
    image = found->second;
  }
  if (!image->read) image->module = parse(image->text);
  image->read = true;
  return image->module;
}

void Device::add_kernel(const void* host_function, int module, const char* name) {
  kernels_[host_function] = {static_cast<size_t>(module), name};
}

cudaError_t Device::answer(cudaError_t code, std::string sentence) {
  if (code != cudaSuccess) last_ = {code, std::move(sentence)};
  return code;
}

cudaError_t Device::take_last_error() {
  const cudaError_t code = last_.code;
  last_.code = cudaSuccess;  // the sentence stays: it may be asked for yet
  return code;
}

const char* Device::sentence_of(cudaError_t code) const {
  if (code == cudaSuccess) return "no error";
  return last_.sentence.empty() ? "no details" : last_.sentence.c_str();
}

cudaError_t Device::allow_dynamic(const void* host_function, int bytes) {
  const auto found = kernels_.find(host_function);
  if (found == kernels_.end()) return answer(cudaErrorInvalidDeviceFunction, "the kernel was not registered");
  if (bytes < 0 || static_cast<size_t>(bytes) > most_shared)
    return answer(cudaErrorInvalidValue, text(bytes, " bytes of dynamic shared memory, expected 0 ... ", most_shared));
  found->second.most_dynamic = static_cast<size_t>(bytes);
  return cudaSuccess;
}

cudaError_t Device::launch(const void* host_function, dim3 grid, dim3 block, void** arguments, size_t dynamic_bytes) {
  const auto found = kernels_.find(host_function);
  if (found == kernels_.end()) return answer(cudaErrorInvalidDeviceFunction, "the kernel was not registered");
  const Entry& entry = found->second;
  try {
    const Module& module = module_of(entry);
    const auto at = module.kernels.find(entry.name);
    if (at == module.kernels.end()) return answer(cudaErrorInvalidDeviceFunction, text("no PTX holds ", entry.name));
    const Kernel& kernel = at->second;
    const uint64_t threads = dim_of(block).count();
    const uint64_t most = kernel.most_threads ? static_cast<uint64_t>(kernel.most_threads) : 1024;
    if (threads == 0 || threads > most || block.z > 64 || dim_of(grid).count() == 0 || grid.x > 0x7fffffffu ||
        grid.y > 65535 || grid.z > 65535)
      return answer(cudaErrorInvalidConfiguration,
                    text(kernel.name, ": a grid of (", grid.x, ", ", grid.y, ", ", grid.z, ") blocks of (", block.x,
                         ", ", block.y, ", ", block.z, ") threads, expected at most ", most, " threads a block"));
    if (dynamic_bytes > entry.most_dynamic || kernel.shared_bytes + dynamic_bytes > most_shared ||
        kernel.shared_bytes > 48 * 1024)
      return answer(cudaErrorInvalidValue, text(kernel.name, ": ", kernel.shared_bytes, " bytes of static and ",
                                                dynamic_bytes, " of dynamic shared memory, expected at most ",
                                                entry.most_dynamic, " of dynamic and ", most_shared, " together"));
    std::vector<uint64_t> parameters(kernel.parameter_bytes / 8 + 1);
    auto* to = reinterpret_cast<uint8_t*>(parameters.data());
    for (size_t k = 0; k < kernel.parameters.size(); ++k)
      std::memcpy(to + kernel.parameters[k].offset, arguments[k], kernel.parameters[k].bytes);
    instructions += run({.module = module,
                         .kernel = kernel,
                         .memory = memory,
                         .grid = dim_of(grid),
                         .block = dim_of(block),
                         .dynamic_bytes = dynamic_bytes,
                         .parameters = to,
                         .order = order_,
                         .seed = seed_});
    return cudaSuccess;
  } catch (const Error& e) {
    return answer(e.fault() == Fault::input ? cudaErrorInvalidPtx : cudaErrorLaunchFailure, e.what());
  }
}

}  // namespace shear::ptx
