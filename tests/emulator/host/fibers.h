// A fiber: a stack on which a function runs until it hands over to another.
#pragma once
#include <cstddef>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace cuemu {

class Fiber {
 public:
  Fiber();                         // the stack that the program already runs on
  explicit Fiber(void (*body)());  // a new one; body never returns
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  void restart();  // at the start of its body, whatever it was doing
  const char* low() const { return low_; }
  const char* high() const { return high_; }

  // Goes on with `to`; returns when something goes on with `from`, which must be the one that runs.
  static void switch_from_to(Fiber& from, Fiber& to);

 private:
  static void arrived(Fiber& at);
  static void first_step();

  char *low_ = nullptr, *high_ = nullptr;
  void (*body_)() = nullptr;
#if defined(__x86_64__)
  void* stack_pointer_ = nullptr;
#else
  ucontext_t context_{};
#endif
  void* fake_stack_ = nullptr;  // of AddressSanitizer
};

}  // namespace cuemu
