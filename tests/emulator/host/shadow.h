// What the checker remembers of a range of memory.
#pragma once
#include <cstddef>
#include <cstdint>

namespace cuemu {

// An access: when, by whom, where in the code.
struct Event {
  uint32_t moment = 0;  // 0: there was none
  uint32_t clock = 0;   // of the thread's lane in its warp
  uint32_t code = 0;    // from the executable's base
  uint16_t thread = 0;
  bool atomic = false;
};
struct Cell {
  Event write, read, other_read;  // the last ones; reads by two threads
  bool initialised = false;
};

class Shadow {
 public:
  Shadow() = default;
  Shadow(const char* start, size_t bytes);  // reserves addresses; memory comes as it is touched
  ~Shadow();
  Shadow(Shadow&&) noexcept;
  Shadow& operator=(Shadow&&) noexcept;

  const char* start() const { return start_; }
  size_t bytes() const { return bytes_; }
  bool holds(const char* p) const { return p >= start_ && p < start_ + bytes_; }

  // A cell is four bytes wide, and a byte once an access asks for less than that.
  void make_fine_enough(const char*, size_t bytes);
  size_t width() const { return width_; }
  size_t first(const char* p) const { return static_cast<size_t>(p - start_) / width_; }
  size_t end(const char* p, size_t bytes) const {
    return (static_cast<size_t>(p - start_) + bytes + width_ - 1) / width_;
  }
  Cell& operator[](size_t i) { return cells_[i]; }

 private:
  size_t reserved() const { return bytes_ * sizeof(Cell); }

  const char* start_ = nullptr;
  size_t bytes_ = 0, width_ = 4;
  Cell* cells_ = nullptr;
};

}  // namespace cuemu
