// The device's memory.  An allocation ends against a page that cannot be touched, up to the 256 bytes to which CUDA
// aligns; what lies around it inside its pages is filled, and looked at when it is freed.  Fresh memory is all ones,
// which is nan as f32, f16 and bf16.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "emulation.h"
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace cuemu {
namespace {

constexpr size_t alignment = 256, page = 4096;
constexpr int fresh = 0xff;

struct Pages {
  char* map;
  size_t bytes;  // the last page is the one that cannot be touched
};
struct Block {
  Allocation given;
  Pages pages;
};

std::map<const char*, Block>& blocks() {
  static auto* all = new std::map<const char*, Block>;  // outlives what is freed at the end of the program
  return *all;
}
std::map<const char*, size_t>& pinned() {
  static auto* all = new std::map<const char*, size_t>;
  return *all;
}
size_t live = 0, peak = 0;
int accesses = 0;

size_t rounded(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

template <class Map>
auto at_or_before(Map& map, const void* p) {
  auto after = map.upper_bound(static_cast<const char*>(p));
  return after == map.begin() ? map.end() : --after;
}

// Pages of ones that are copied only when they are written to: a large allocation costs what is used of it.
bool map_ones(char* from, char* to) {
  constexpr size_t unit = size_t{4} << 20;
  static const int ones = [] {
    const int file = memfd_create("fresh device memory", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, unit) != 0) return -1;
    void* const map = mmap(nullptr, unit, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (map == MAP_FAILED) return -1;
    std::memset(map, fresh, unit);
    munmap(map, unit);
    return file;
  }();
  for (; from < to; from += unit)
    if (mmap(from, std::min(unit, static_cast<size_t>(to - from)), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
             ones, 0) == MAP_FAILED)
      return false;
  return true;
}

Block take_pages(size_t bytes) {
  const size_t whole = rounded(bytes, alignment), mapped = rounded(whole, page) + page;
  void* const map = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) return {};
  char* const start = static_cast<char*>(map);
  char* const end = start + mapped - page;
  if (!map_ones(start, end)) {
    munmap(map, mapped);
    return {};
  }
  return {{end - whole, bytes}, {start, mapped}};
}
void return_pages(const Block& block) { munmap(block.pages.map, block.pages.bytes); }

void let_reach(const Block& block, bool can) {
  if (options().protect) mprotect(block.pages.map, block.pages.bytes - page, can ? PROT_READ | PROT_WRITE : PROT_NONE);
}

// The bytes around an allocation, in its pages: watched by AddressSanitizer where it is, else looked at in the end.
#if defined(__SANITIZE_ADDRESS__)
void watch_surroundings(const Block& block, bool on) {
  const auto watch = [on](char* from, char* to) {
    on ? __asan_poison_memory_region(from, static_cast<size_t>(to - from))
       : __asan_unpoison_memory_region(from, static_cast<size_t>(to - from));
  };
  watch(block.pages.map, block.given.data);
  watch(block.given.data + block.given.bytes, block.pages.map + block.pages.bytes - page);
}
void check_surroundings(const Block&) {}
#else
void watch_surroundings(const Block&, bool) {}
void check_surroundings(const Block& block) {
  const auto touched = [](const char* from, const char* to) {
    return std::any_of(from, to, [](char c) { return static_cast<unsigned char>(c) != fresh; });
  };
  const auto& [data, bytes] = block.given;
  if (touched(data + bytes, block.pages.map + block.pages.bytes - page))
    report("something was written past the end of a device allocation of %zu bytes", bytes);
  if (touched(block.pages.map, data))
    report("something was written before the start of a device allocation of %zu bytes", bytes);
}
#endif

}  // namespace

DeviceAccess::DeviceAccess() {
  if (accesses++ == 0 && options().protect)
    for (const auto& [data, block] : blocks()) let_reach(block, true);
}
DeviceAccess::~DeviceAccess() {
  if (--accesses == 0 && options().protect)
    for (const auto& [data, block] : blocks()) let_reach(block, false);
}

const Allocation* find_allocation(const void* p) {
  const auto found = at_or_before(blocks(), p);
  if (found == blocks().end()) return nullptr;
  const Allocation& a = found->second.given;
  return static_cast<const char*>(p) < a.data + a.bytes ? &a : nullptr;
}

bool is_device_pointer(const void* p) {
  const auto found = at_or_before(blocks(), p);
  return found != blocks().end() && static_cast<const char*>(p) <= found->first + found->second.given.bytes;
}

bool on_device(const void* p, size_t bytes) {
  const Allocation* a = find_allocation(p);
  return a && static_cast<const char*>(p) + bytes <= a->data + a->bytes;
}

bool is_pinned(const void* p) {
  const auto found = at_or_before(pinned(), p);
  return found != pinned().end() && static_cast<const char*>(p) < found->first + found->second;
}

cudaError_t allocate(void** out, size_t bytes) {
  *out = nullptr;
  if (bytes == 0) return cudaSuccess;
  if (bytes > options().memory || live > options().memory - bytes) return remember(cudaErrorMemoryAllocation);
  const Block block = take_pages(bytes);
  if (!block.given.data) return remember(cudaErrorMemoryAllocation);
  blocks()[block.given.data] = block;
  watch_surroundings(block, true);
  if (accesses == 0) let_reach(block, false);
  live += bytes;
  peak = std::max(peak, live);
  if (checker) checker->allocated(block.given.data, bytes);
  *out = block.given.data;
  return cudaSuccess;
}

// From what is free at this point of the stream.
cudaError_t allocate_async(void** out, size_t bytes, cudaStream_t stream) {
  if (bytes > options().memory || live > options().memory - bytes) cudaStreamSynchronize(stream);
  return allocate(out, bytes);
}

void release(void* p) {
  const auto found = blocks().find(static_cast<const char*>(p));
  if (found == blocks().end()) {
    report("cudaFreeAsync: %p is not the start of a device allocation", p);
    return;
  }
  {
    const DeviceAccess access;
    check_surroundings(found->second);
  }
  live -= found->second.given.bytes;
  if (checker) checker->freed(found->second.given.data);
  watch_surroundings(found->second, false);
  return_pages(found->second);
  blocks().erase(found);
}

cudaError_t allocate_host(void** out, size_t bytes) {
  *out = bytes == 0 ? nullptr : std::aligned_alloc(page, rounded(bytes, page));
  if (bytes > 0 && !*out) return remember(cudaErrorMemoryAllocation);
  if (*out) pinned()[static_cast<const char*>(*out)] = bytes;
  return cudaSuccess;
}

Memory memory() { return {live, peak, options().memory}; }
void restart_peak() { peak = live; }

}  // namespace cuemu

using namespace cuemu;

cudaError_t cudaFree(void* p) {
  if (!p) return cudaSuccess;
  cudaDeviceSynchronize();
  const Allocation* const a = find_allocation(p);
  if (!a || a->data != p) return remember(cudaErrorInvalidValue);
  release(p);
  return cudaSuccess;
}

cudaError_t cudaFreeAsync(void* p, cudaStream_t stream) {
  if (!p) return cudaSuccess;
  const Allocation* const a = find_allocation(p);
  if (!a || a->data != p) return remember(cudaErrorInvalidValue);
  submit(stream, [p] { release(p); });
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* p) {
  if (!p) return cudaSuccess;
  cudaDeviceSynchronize();
  if (pinned().erase(static_cast<const char*>(p)) == 0) return remember(cudaErrorInvalidValue);
  std::free(p);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = options().memory;
  *free = *total - std::min(*total, live);
  return cudaSuccess;
}
