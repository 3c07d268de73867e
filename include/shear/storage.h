// Bytes that tensors share: reference-counted, given back to the allocator they came from.
#pragma once
#include <utility>

#include "shear/allocator.h"
#include "shear/api.h"

namespace SHEAR_API shear {

// A handle to a block of bytes.  Copies share; the last one out gives the bytes back.  One thread at a time.
class Storage {
 public:
  Storage() = default;
  Storage(Allocator& from, size_t bytes, Category);
  Storage(const Storage& other) noexcept : block_(other.block_) {
    if (block_) ++block_->handles;
  }
  Storage(Storage&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  Storage& operator=(Storage other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~Storage() { release(); }

  void* data() const { return block_ ? block_->data : nullptr; }
  size_t bytes() const { return block_ ? block_->bytes : 0; }  // as allocated: a multiple of `alignment`
  Category category() const { return block_->category; }
  const Allocator* home() const { return block_ ? block_->home : nullptr; }  // where the bytes came from
  bool unique() const { return block_ && block_->handles == 1; }
  void relabel(Category to) const;  // for every handle of the block
  explicit operator bool() const { return block_ != nullptr; }
  bool operator==(const Storage&) const = default;

 private:
  friend class BlockPool;
  struct Block {
    void* data;
    size_t bytes;
    Allocator* home;
    int handles;
    Category category;
    Block* next_free;
  };
  void release() noexcept;

  Block* block_ = nullptr;
};

}  // namespace shear
