// Fibers by exchanging stack pointers on x86-64, by ucontext elsewhere.
#include "fibers.h"

#include <pthread.h>
#include <sys/mman.h>

#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

// Saves what a function call must keep, exchanges stacks, and returns on the other.
#if defined(__x86_64__)
extern "C" void cuda_host_switch(void** save, void* load);
asm(R"(
.text
.globl cuda_host_switch
.type cuda_host_switch,@function
cuda_host_switch:
  .cfi_startproc
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .cfi_endproc
.size cuda_host_switch,.-cuda_host_switch
)");
#endif

namespace cuemu {
namespace {

constexpr size_t page = 4096;
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t stack_bytes = 256 * 1024;  // its frames are larger
#else
constexpr size_t stack_bytes = 64 * 1024;
#endif

Fiber* running = nullptr;

}  // namespace

Fiber::Fiber() {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) throw std::bad_alloc();
  void* low = nullptr;
  size_t bytes = 0;
  pthread_attr_getstack(&attributes, &low, &bytes);
  pthread_attr_destroy(&attributes);
  low_ = static_cast<char*>(low);
  high_ = low_ + bytes;
}

Fiber::Fiber(void (*body)()) : body_(body) {
  void* const map =
      mmap(nullptr, stack_bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) throw std::bad_alloc();
  mprotect(map, page, PROT_NONE);
  low_ = static_cast<char*>(map) + page;
  high_ = low_ + stack_bytes;
  restart();
}

Fiber::~Fiber() {
  if (body_) munmap(low_ - page, stack_bytes + page);
}

void Fiber::restart() {
  fake_stack_ = nullptr;
#if defined(__x86_64__)
  void** top = reinterpret_cast<void**>(high_);
  *--top =
      nullptr;  // where a caller's address would be: a backtrace ends here, and the stack is aligned as after a call
  *--top = reinterpret_cast<void*>(first_step);
  for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
  stack_pointer_ = top;
#else
  getcontext(&context_);
  context_.uc_stack.ss_sp = low_;
  context_.uc_stack.ss_size = stack_bytes;
  context_.uc_link = nullptr;
  makecontext(&context_, first_step, 0);
#endif
}

void Fiber::arrived([[maybe_unused]] Fiber& at) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(at.fake_stack_, nullptr, nullptr);
#endif
}

void Fiber::first_step() {
  Fiber& self = *running;
  arrived(self);
  self.body_();
  __builtin_unreachable();
}

void Fiber::switch_from_to(Fiber& from, Fiber& to) {
  running = &to;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&from.fake_stack_, to.low_, static_cast<size_t>(to.high_ - to.low_));
#endif
#if defined(__x86_64__)
  cuda_host_switch(&from.stack_pointer_, to.stack_pointer_);
#else
  swapcontext(&from.context_, &to.context_);
#endif
  arrived(from);
}

}  // namespace cuemu
