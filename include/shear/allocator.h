// Where bytes come from: a small interface, and wrappers that count, limit and route.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "shear/api.h"

namespace SHEAR_API shear {

// What a byte is for.  The first three live as long as the model; the last two are the training step's.
enum class Category : uint8_t { parameters, gradients, optimizer, saved, workspace };
inline constexpr size_t category_count = 5;
std::string_view name(Category);
constexpr bool lives_in_step(Category c) { return c == Category::saved || c == Category::workspace; }

inline constexpr size_t alignment = 64;  // of every allocation, in bytes; sizes are rounded up to it
constexpr size_t aligned(size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

class Allocator {
 public:
  virtual ~Allocator() = default;
  // At least one byte; throws Fault::memory with a sentence when it cannot be had.
  virtual void* allocate(size_t bytes, Category) = 0;
  virtual void deallocate(void*, size_t bytes, Category) noexcept = 0;
  // The bytes stay where they are and change what they are for (an activation that the tape keeps).
  virtual void relabel(size_t /*bytes*/, Category /*from*/, Category /*to*/) noexcept {}
};

// The host's memory.  Large blocks are reserved from the system and cost nothing until they are touched.
class HostAllocator final : public Allocator {
 public:
  void* allocate(size_t bytes, Category) override;
  void deallocate(void*, size_t bytes, Category) noexcept override;
};

// Addresses with no memory behind them: for planning.
class ShapeAllocator final : public Allocator {
 public:
  void* allocate(size_t bytes, Category) override;
  void deallocate(void*, size_t, Category) noexcept override {}

 private:
  uintptr_t next_ = uintptr_t{1} << 32;
};

// Refuses what would take the live bytes past a limit.
class Limit final : public Allocator {
 public:
  Limit(Allocator& upstream, size_t max_bytes) : upstream_(upstream), max_(max_bytes) {}
  void* allocate(size_t bytes, Category) override;
  void deallocate(void*, size_t bytes, Category) noexcept override;
  void relabel(size_t bytes, Category from, Category to) noexcept override { upstream_.relabel(bytes, from, to); }

 private:
  Allocator& upstream_;
  size_t max_, live_ = 0;
};

// Counts live bytes by category, and remembers how they stood when their sum was highest.
class Meter final : public Allocator {
 public:
  using Counts = std::array<size_t, category_count>;

  explicit Meter(Allocator& upstream) : upstream_(upstream) {}
  void* allocate(size_t bytes, Category) override;
  void deallocate(void*, size_t bytes, Category) noexcept override;
  void relabel(size_t bytes, Category from, Category to) noexcept override;

  size_t live(Category c) const { return live_[static_cast<size_t>(c)]; }
  size_t live() const { return total_; }
  size_t peak() const { return peak_total_; }
  size_t at_peak(Category c) const { return peak_[static_cast<size_t>(c)]; }     // sums to peak()
  size_t highest(Category c) const { return highest_[static_cast<size_t>(c)]; }  // each at its own moment
  uint64_t allocations() const { return allocations_; }
  void restart_peak();  // from here on

 private:
  void note();

  Allocator& upstream_;
  Counts live_{}, peak_{}, highest_{};
  size_t total_ = 0, peak_total_ = 0;
  uint64_t allocations_ = 0;
};

// Sends the step's bytes (saved, workspace) one way and the model's another.
class Split final : public Allocator {
 public:
  Split(Allocator& model, Allocator& step) : model_(model), step_(step) {}
  void* allocate(size_t bytes, Category c) override { return side(c).allocate(bytes, c); }
  void deallocate(void* p, size_t bytes, Category c) noexcept override { side(c).deallocate(p, bytes, c); }

 private:
  Allocator& side(Category c) { return lives_in_step(c) ? step_ : model_; }
  Allocator &model_, &step_;
};

}  // namespace shear
