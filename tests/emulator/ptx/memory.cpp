#include "memory.h"

#include <cstdlib>
#include <cstring>

namespace shear::ptx {

void Memory::Free::operator()(uint8_t* p) const { std::free(p); }

void* Memory::allocate(size_t bytes) {
  if (bytes > limit_ - used_) return nullptr;
  // Room for a byte that is not the caller's: two allocations never touch.
  auto* p = static_cast<uint8_t*>(std::aligned_alloc(256, (bytes + 256) / 256 * 256));
  if (!p) return nullptr;
  std::memset(p, 0xff, bytes);
  blocks_[reinterpret_cast<uint64_t>(p)] = {std::unique_ptr<uint8_t, Free>(p), bytes};
  used_ += bytes;
  return p;
}

bool Memory::release(void* p) {
  const auto found = blocks_.find(reinterpret_cast<uint64_t>(p));
  if (found == blocks_.end()) return false;
  used_ -= found->second.size;
  blocks_.erase(found);
  last_size_ = 0;
  return true;
}

bool Memory::holds(uint64_t address, size_t bytes) const {
  if (address - last_ < last_size_ && bytes <= last_size_ - (address - last_)) return true;
  auto after = blocks_.upper_bound(address);
  if (after == blocks_.begin()) return false;
  const auto& [start, block] = *std::prev(after);
  last_ = start;
  last_size_ = block.size;
  return address - start < block.size && bytes <= block.size - (address - start);
}

}  // namespace shear::ptx
