// Device memory: what was asked for and is not given back.  An address is the host's own, so that copies are plain;
// what a kernel may touch is decided here.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

namespace shear::ptx {

class Memory {
 public:
  explicit Memory(size_t limit) : limit_(limit) {}
  // Aligned to 256 bytes and filled with 0xff, as floats nan.  Null where it does not fit.
  void* allocate(size_t bytes);
  bool release(void* p);  // whether it was the start of an allocation
  // Whether [address, address + bytes) lies in one allocation.
  bool holds(uint64_t address, size_t bytes) const;
  size_t used() const { return used_; }
  size_t limit() const { return limit_; }

 private:
  struct Free {
    void operator()(uint8_t* p) const;
  };
  struct Block {
    std::unique_ptr<uint8_t, Free> bytes;
    size_t size;
  };
  std::map<uint64_t, Block> blocks_;  // by address
  size_t limit_, used_ = 0;
  mutable uint64_t last_ = 0;  // the block that was asked for last, and its size
  mutable size_t last_size_ = 0;
};

}  // namespace shear::ptx
