// The calls that -fsanitize=thread puts before the accesses of a kernel.
#include <cstdint>

#include "checker.h"

namespace {

void check(const void* p, size_t bytes, cuemu::Access kind, bool may_be_unaligned, const void* code) {
  if (cuemu::running.thread < 0) return;  // the host's part of a kernel file
  const char* const address = static_cast<const char*>(p);
  if (address >= cuemu::running.stack_low && address < cuemu::running.stack_high) return;  // local variables
  cuemu::access_checker().access(address, bytes, kind, may_be_unaligned, code);
}

}  // namespace

#define HERE __builtin_return_address(0)

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_atomic_thread_fence(int) {}
void __tsan_atomic_signal_fence(int) {}

#define ACCESSES(n)                                                                        \
  void __tsan_read##n(void* p) { check(p, n, cuemu::Access::read, false, HERE); }          \
  void __tsan_write##n(void* p) { check(p, n, cuemu::Access::write, false, HERE); }        \
  void __tsan_unaligned_read##n(void* p) { check(p, n, cuemu::Access::read, true, HERE); } \
  void __tsan_unaligned_write##n(void* p) { check(p, n, cuemu::Access::write, true, HERE); }
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

void __tsan_read_range(void* p, size_t n) { check(p, n, cuemu::Access::read, true, HERE); }
void __tsan_write_range(void* p, size_t n) { check(p, n, cuemu::Access::write, true, HERE); }

// One host thread runs everything, so that plain arithmetic is atomic.
#define ATOMIC_CHANGE(bits, name, expression)                                             \
  uint##bits##_t __tsan_atomic##bits##_##name(uint##bits##_t* p, uint##bits##_t v, int) { \
    check(p, bits / 8, cuemu::Access::atomic, false, HERE);                               \
    const uint##bits##_t old = *p;                                                        \
    *p = static_cast<uint##bits##_t>(expression);                                         \
    return old;                                                                           \
  }
#define ATOMIC_EXCHANGE_IF_EQUAL(bits, name)                                                                       \
  int __tsan_atomic##bits##_compare_exchange_##name(uint##bits##_t* p, uint##bits##_t* expected, uint##bits##_t v, \
                                                    int, int) {                                                    \
    check(p, bits / 8, cuemu::Access::atomic, false, HERE);                                                        \
    if (*p == *expected) {                                                                                         \
      *p = v;                                                                                                      \
      return 1;                                                                                                    \
    }                                                                                                              \
    *expected = *p;                                                                                                \
    return 0;                                                                                                      \
  }
#define ATOMICS(bits)                                                          \
  uint##bits##_t __tsan_atomic##bits##_load(const uint##bits##_t* p, int) {    \
    check(p, bits / 8, cuemu::Access::atomic, false, HERE);                    \
    return *p;                                                                 \
  }                                                                            \
  void __tsan_atomic##bits##_store(uint##bits##_t* p, uint##bits##_t v, int) { \
    check(p, bits / 8, cuemu::Access::atomic, false, HERE);                    \
    *p = v;                                                                    \
  }                                                                            \
  ATOMIC_CHANGE(bits, exchange, v)                                             \
  ATOMIC_CHANGE(bits, fetch_add, old + v)                                      \
  ATOMIC_CHANGE(bits, fetch_sub, old - v)                                      \
  ATOMIC_CHANGE(bits, fetch_and, old& v)                                       \
  ATOMIC_CHANGE(bits, fetch_or, old | v)                                       \
  ATOMIC_CHANGE(bits, fetch_xor, old ^ v)                                      \
  ATOMIC_EXCHANGE_IF_EQUAL(bits, strong)                                       \
  ATOMIC_EXCHANGE_IF_EQUAL(bits, weak)
ATOMICS(8)
ATOMICS(16)
ATOMICS(32)
ATOMICS(64)

}  // extern "C"
