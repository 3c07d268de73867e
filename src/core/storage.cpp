// Reference-counted blocks, whose nodes are kept for the next one.
#include "shear/storage.h"

#include <deque>

#include "shear/error.h"

namespace shear {

// The nodes of all blocks of a thread: taken and given back thousands of times a step, allocated once.
class BlockPool {
 public:
  using Block = Storage::Block;

  Block* take() {
    if (!free_) return &nodes_.emplace_back();
    Block* b = free_;
    free_ = b->next_free;
    return b;
  }
  void give_back(Block* b) {
    b->next_free = free_;
    free_ = b;
  }
  // Never destroyed: a static object's storage may outlive any order of destruction.
  static BlockPool& here() {
    static thread_local BlockPool* pool = new BlockPool;
    return *pool;
  }

 private:
  std::deque<Block> nodes_;
  Block* free_ = nullptr;
};

Storage::Storage(Allocator& from, size_t bytes, Category category) {
  bytes = aligned(bytes > 0 ? bytes : 1);
  void* data = from.allocate(bytes, category);
  block_ = BlockPool::here().take();
  *block_ = {data, bytes, &from, 1, category, nullptr};
}

void Storage::relabel(Category to) const {
  require(block_ && lives_in_step(block_->category) == lives_in_step(to), "storage: cannot become ", name(to));
  block_->home->relabel(block_->bytes, block_->category, to);
  block_->category = to;
}

void Storage::release() noexcept {
  if (!block_ || --block_->handles > 0) return;
  block_->home->deallocate(block_->data, block_->bytes, block_->category);
  BlockPool::here().give_back(block_);
}

}  // namespace shear
