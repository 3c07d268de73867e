// The allocators and their wrappers.
#include "shear/allocator.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

#include "shear/error.h"

namespace shear {

std::string_view name(Category c) {
  constexpr std::array<std::string_view, category_count> names{"parameters", "gradients", "optimizer", "saved",
                                                               "workspace"};
  return names[static_cast<size_t>(c)];
}

// -- Host -----------------------------------------------------------------------------------------------------------

// From here on a block gets pages of its own: reserved, and only backed by memory once touched.
static constexpr size_t own_pages = size_t{1} << 20;

void* HostAllocator::allocate(size_t bytes, Category c) {
  bytes = aligned(std::max<size_t>(bytes, 1));
  void* p = nullptr;
  if (bytes < own_pages) {
    p = std::aligned_alloc(alignment, bytes);
  } else {
    p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) p = nullptr;
    // Fewer page faults and TLB misses where the system has large pages to give; a hint, so its answer does not matter.
    if (p) (void)madvise(p, bytes, MADV_HUGEPAGE);
  }
  if (!p) fail(Fault::memory, "out of memory: the system refused ", bytes, " bytes for ", name(c));
  return p;
}

void HostAllocator::deallocate(void* p, size_t bytes, Category) noexcept {
  bytes = aligned(std::max<size_t>(bytes, 1));
  if (bytes < own_pages)
    std::free(p);
  else
    munmap(p, bytes);
}

// -- Shape ----------------------------------------------------------------------------------------------------------

void* ShapeAllocator::allocate(size_t bytes, Category) {
  next_ += aligned(std::max<size_t>(bytes, 1));
  return reinterpret_cast<void*>(next_ - aligned(std::max<size_t>(bytes, 1)));
}

// -- Limit ----------------------------------------------------------------------------------------------------------

void* Limit::allocate(size_t bytes, Category c) {
  if (bytes > max_ || live_ > max_ - bytes)
    fail(Fault::memory, "out of memory: ", bytes, " bytes for ", name(c), " on top of ", live_, " pass the limit of ",
         max_, " bytes");
  void* p = upstream_.allocate(bytes, c);
  live_ += bytes;
  return p;
}

void Limit::deallocate(void* p, size_t bytes, Category c) noexcept {
  live_ -= bytes;
  upstream_.deallocate(p, bytes, c);
}

// -- Meter ----------------------------------------------------------------------------------------------------------

void* Meter::allocate(size_t bytes, Category c) {
  void* p = upstream_.allocate(bytes, c);
  ++allocations_;
  live_[static_cast<size_t>(c)] += bytes;
  total_ += bytes;
  note();
  return p;
}

void Meter::deallocate(void* p, size_t bytes, Category c) noexcept {
  upstream_.deallocate(p, bytes, c);
  live_[static_cast<size_t>(c)] -= bytes;
  total_ -= bytes;
}

void Meter::relabel(size_t bytes, Category from, Category to) noexcept {
  upstream_.relabel(bytes, from, to);
  live_[static_cast<size_t>(from)] -= bytes;
  live_[static_cast<size_t>(to)] += bytes;
  note();
}

void Meter::note() {
  for (size_t i = 0; i < category_count; ++i) highest_[i] = std::max(highest_[i], live_[i]);
  // At equal sums the later moment counts: it has the values that were kept, not those still in flight.
  if (total_ >= peak_total_) {
    peak_total_ = total_;
    peak_ = live_;
  }
}

void Meter::restart_peak() {
  peak_total_ = 0;
  highest_ = {};
  note();
}

}  // namespace shear
