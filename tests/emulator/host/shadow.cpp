// Cells come from pages that the system fills with zeros when they are touched: a cell of zeros is one of no accesses.
#include "shadow.h"

#include <sys/mman.h>

#include <new>
#include <utility>
#include <vector>

namespace cuemu {

Shadow::Shadow(const char* start, size_t bytes) : start_(start), bytes_(bytes) {
  void* const map =
      mmap(nullptr, reserved(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) throw std::bad_alloc();
  cells_ = static_cast<Cell*>(map);
}
Shadow::~Shadow() {
  if (cells_) munmap(cells_, reserved());
}
Shadow::Shadow(Shadow&& other) noexcept { *this = std::move(other); }
Shadow& Shadow::operator=(Shadow&& other) noexcept {
  std::swap(start_, other.start_);
  std::swap(bytes_, other.bytes_);
  std::swap(width_, other.width_);
  std::swap(cells_, other.cells_);
  return *this;
}

void Shadow::make_fine_enough(const char* p, size_t bytes) {
  if (width_ == 1 || (bytes % 4 == 0 && static_cast<size_t>(p - start_) % 4 == 0)) return;
  const std::vector<Cell> coarse(cells_, cells_ + (bytes_ + 3) / 4);
  for (size_t i = 0; i < bytes_; ++i) cells_[i] = coarse[i / 4];
  width_ = 1;
}

}  // namespace cuemu
