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

Arena::Arena(Allocator& upstream, std::function<size_t()> most, bool backed)
    : upstream_(upstream), most_(std::move(most)), backed_(backed) {}

Arena::~Arena() {
  if (!base_) return;
  if (backed_) ASAN_UNPOISON_MEMORY_REGION(base_, capacity_);
  upstream_.deallocate(base_, capacity_, Category::workspace);
}

void* Arena::allocate(size_t bytes, Category c) {
  bytes = aligned(std::max<size_t>(bytes, 1));
  if (!base_) reserve(bytes);
  const bool sleeps = c == Category::saved;
  End &here = sleeps ? end_ : start_, &there = sleeps ? start_ : end_;
  const size_t offset = here.place(bytes), room = capacity_ - there.top();
  if (offset > room || bytes > room - offset)
    fail(Fault::memory, "out of memory: ", bytes, " bytes for ", name(c), " do not fit into the step's slab of ",
         capacity_, " bytes, of which ", live_, " are in use");
  here.take(offset, bytes);
  high_ = std::max(high_, start_.top() + end_.top());
  live_ += bytes;
  char* block = base_ + (sleeps ? capacity_ - offset - bytes : offset);
  if (backed_) ASAN_UNPOISON_MEMORY_REGION(block, bytes);
  return block;
}

// What is left for others to take changes between the question and the answer: another thread's heap, for one, takes
// 128 MiB of addresses for a moment and keeps 64.
void Arena::reserve(size_t first_block) {
  const auto at_least_first = [&](size_t bytes) { return std::max(bytes / alignment * alignment, first_block); };
  if (most_) capacity_ = at_least_first(most_());
  while (!base_) try {
      base_ = static_cast<char*>(upstream_.allocate(capacity_, Category::workspace));
    } catch (const Error& e) {
      if (!most_ || e.fault() != Fault::memory || capacity_ == first_block) throw;
      capacity_ = at_least_first(capacity_ / 2);
    }
  if (backed_) ASAN_POISON_MEMORY_REGION(base_, capacity_);
}

void Arena::deallocate(void* p, size_t bytes, Category) noexcept {
  bytes = aligned(std::max<size_t>(bytes, 1));
  live_ -= bytes;
  if (backed_) ASAN_POISON_MEMORY_REGION(p, bytes);
  // By place, not by category: a dense value that slept lies where it was made.
  const size_t offset = static_cast<size_t>(static_cast<char*>(p) - base_);
  if (offset < start_.top())
    start_.give(offset, bytes);
  else
    end_.give(capacity_ - offset - bytes, bytes);
}

size_t Arena::End::place(size_t bytes) const {
  const auto fit = by_size_.lower_bound({bytes, 0});
  return fit != by_size_.end() ? fit->second : top_;
}

void Arena::End::take(size_t offset, size_t bytes) {
  if (offset == top_) {
    top_ += bytes;
    return;
  }
  const auto hole = holes_.find(offset);
  const size_t size = hole->second;
  remove_hole(hole);
  if (size > bytes) add_hole(offset + bytes, size - bytes);
}

void Arena::End::give(size_t offset, size_t bytes) {
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

void Arena::End::add_hole(size_t offset, size_t size) {
  holes_.emplace(offset, size);
  by_size_.emplace(size, offset);
}

void Arena::End::remove_hole(Holes::iterator hole) {
  by_size_.erase({hole->second, hole->first});
  holes_.erase(hole);
}

}  // namespace shear
