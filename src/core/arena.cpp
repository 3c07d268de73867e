// Best fit with merging; see the header for why.
#include "shear/arena.h"

#include <algorithm>

#include "shear/error.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else  // The slab is one block to the sanitizer: tell it which parts are not in use.
#define ASAN_POISON_MEMORY_REGION(p, n) (static_cast<void>(p), static_cast<void>(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) (static_cast<void>(p), static_cast<void>(n))
#endif

namespace shear {

Arena::Arena(Allocator& upstream, size_t capacity, bool backed)
    : upstream_(upstream), capacity_(aligned(capacity)), backed_(backed) {}

Arena::~Arena() {
  if (!base_) return;
  if (backed_) ASAN_UNPOISON_MEMORY_REGION(base_, capacity_);
  upstream_.deallocate(base_, capacity_, Category::workspace);
}

void* Arena::allocate(size_t bytes, Category c) {
  bytes = aligned(std::max<size_t>(bytes, 1));
  if (!base_) {
    base_ = static_cast<char*>(upstream_.allocate(capacity_, Category::workspace));
    if (backed_) ASAN_POISON_MEMORY_REGION(base_, capacity_);
  }
  size_t offset = 0;
  if (const auto fit = by_size_.lower_bound({bytes, 0}); fit != by_size_.end()) {
    const auto [size, at] = *fit;
    offset = at;
    remove_hole(holes_.find(at));
    if (size > bytes) add_hole(at + bytes, size - bytes);
  } else {
    if (bytes > capacity_ - top_)
      fail(Fault::memory, "out of memory: ", bytes, " bytes for ", name(c), " do not fit into the step's slab of ",
           capacity_, " bytes, of which ", live_, " are in use");
    offset = top_;
    top_ += bytes;
    high_ = std::max(high_, top_);
  }
  live_ += bytes;
  if (backed_) ASAN_UNPOISON_MEMORY_REGION(base_ + offset, bytes);
  return base_ + offset;
}

void Arena::deallocate(void* p, size_t bytes, Category) noexcept {
  bytes = aligned(std::max<size_t>(bytes, 1));
  live_ -= bytes;
  if (backed_) ASAN_POISON_MEMORY_REGION(p, bytes);
  size_t offset = static_cast<size_t>(static_cast<char*>(p) - base_);
  // Merge with the hole behind and the hole before; what then touches the top lowers it.
  if (const auto after = holes_.find(offset + bytes); after != holes_.end()) {
    bytes += after->second;
    remove_hole(after);
  }
  if (const auto next = holes_.lower_bound(offset); next != holes_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == offset) {
      offset = before->first;
      bytes += before->second;
      remove_hole(before);
    }
  }
  if (offset + bytes == top_)
    top_ = offset;
  else
    add_hole(offset, bytes);
}

void Arena::add_hole(size_t offset, size_t size) {
  holes_.emplace(offset, size);
  by_size_.emplace(size, offset);
}

void Arena::remove_hole(Holes::iterator hole) {
  by_size_.erase({hole->second, hole->first});
  holes_.erase(hole);
}

}  // namespace shear
