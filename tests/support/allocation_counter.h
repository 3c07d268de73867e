// Counts what the process takes from operator new: a warm training step takes nothing.
#pragma once
#include <cstdint>

namespace shear::test {

// Calls of any operator new, on any thread, since the object was made.
class AllocationCounter {
 public:
  AllocationCounter() : before_(total()) {}
  uint64_t count() const { return total() - before_; }

 private:
  static uint64_t total();
  uint64_t before_;
};

}  // namespace shear::test
