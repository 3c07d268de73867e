// One slab for everything a training step allocates.
//
// Every step asks for the same sizes in the same order, so one slab of the high-water size serves for ever and
// a steady-state step takes nothing from the system.  What the tape packs is last-in first-out, but the dense
// activations around it are not: they die in the middle of the stack.  So values that sleep packed grow from the
// slab's end, and all else from its start: neither leaves holes in the other.  Each end places by best fit, merges
// neighbours that are free, and grows only where no hole fits.  Where a block lands depends on the sequence of sizes
// and categories alone: the same sequence over addresses without memory predicts the high-water mark exactly.
#pragma once
#include <cstddef>
#include <functional>
#include <map>
#include <memory_resource>
#include <set>
#include <utility>

#include "shear/allocator.h"
#include "shear/api.h"

namespace SHEAR_API shear {

class Arena final : public Allocator {
 public:
  // Reserves `capacity` bytes of `upstream` at the first allocation.
  // `backed`: the addresses are host memory, which the address sanitizer may be told about.
  Arena(Allocator& upstream, size_t capacity, bool backed = true);
  // For steps that nobody planned: reserves what `most` says at the first allocation, or the largest of its half, its
  // quarter and so on that upstream gives and that holds the block.
  Arena(Allocator& upstream, std::function<size_t()> most, bool backed = true);
  ~Arena() override;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  void* allocate(size_t bytes, Category) override;  // throws Fault::memory past the capacity
  void deallocate(void*, size_t bytes, Category) noexcept override;

  size_t live() const { return live_; }
  size_t high_water() const { return high_; }    // bytes of the slab that both ends held at once, holes included
  size_t capacity() const { return capacity_; }  // 0 where it is not yet known
  void restart_high_water() { high_ = start_.top() + end_.top(); }

 private:
  // One end of the slab: blocks by their distance from it.
  class End {
   public:
    explicit End(std::pmr::memory_resource& nodes) : holes_(&nodes), by_size_(&nodes) {}
    // Where a hole takes the block, or the top.
    size_t place(size_t bytes) const;
    void take(size_t offset, size_t bytes);
    void give(size_t offset, size_t bytes);
    size_t top() const { return top_; }

   private:
    using Holes = std::pmr::map<size_t, size_t>;              // offset -> size, none adjacent, none at the top
    using BySize = std::pmr::set<std::pair<size_t, size_t>>;  // (size, offset): best fit, then lowest
    void add_hole(size_t offset, size_t size);
    void remove_hole(Holes::iterator);

    size_t top_ = 0;
    Holes holes_;
    BySize by_size_;
  };

  void reserve(size_t first_block);

  Allocator& upstream_;
  std::function<size_t()> most_;  // empty: the capacity is given
  size_t capacity_ = 0, live_ = 0, high_ = 0;
  char* base_ = nullptr;
  bool backed_;
  std::pmr::unsynchronized_pool_resource nodes_;  // keeps the maps' nodes: no allocation once warm
  End start_{nodes_}, end_{nodes_};
};

}  // namespace shear
