// The global operator new, replaced by one that counts, in every form: the address sanitizer has its own of each.
#include "allocation_counter.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<uint64_t> calls{0};

void* take(size_t bytes, size_t alignment) noexcept {
  calls.fetch_add(1, std::memory_order_relaxed);
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  return std::aligned_alloc(alignment, rounded > 0 ? rounded : alignment);
}

void* take_or_throw(size_t bytes, size_t alignment) {
  void* p = take(bytes, alignment);
  if (!p) throw std::bad_alloc();
  return p;
}

constexpr size_t usual = __STDCPP_DEFAULT_NEW_ALIGNMENT__;
constexpr size_t bytes_of(std::align_val_t alignment) { return static_cast<size_t>(alignment); }

}  // namespace

void* operator new(size_t n) { return take_or_throw(n, usual); }
void* operator new[](size_t n) { return take_or_throw(n, usual); }
void* operator new(size_t n, std::align_val_t a) { return take_or_throw(n, bytes_of(a)); }
void* operator new[](size_t n, std::align_val_t a) { return take_or_throw(n, bytes_of(a)); }
void* operator new(size_t n, const std::nothrow_t&) noexcept { return take(n, usual); }
void* operator new[](size_t n, const std::nothrow_t&) noexcept { return take(n, usual); }
void* operator new(size_t n, std::align_val_t a, const std::nothrow_t&) noexcept { return take(n, bytes_of(a)); }
void* operator new[](size_t n, std::align_val_t a, const std::nothrow_t&) noexcept { return take(n, bytes_of(a)); }

void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t, const std::nothrow_t&) noexcept { std::free(p); }

uint64_t shear::test::AllocationCounter::total() { return calls.load(std::memory_order_relaxed); }
