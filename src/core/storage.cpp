// Reference-counted blocks, whose nodes are kept for the next one.
#include "shear/storage.h"

#include <deque>
#include <mutex>
#include <utility>
#include <vector>

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
  // The calling thread's.  A thread that ends leaves its pool, whose blocks may live on, to one that begins; none is
  // ever destroyed: a static object's storage may outlive any order of destruction.
  static BlockPool& here() {
    if (!mine_) {
      mine_ = left_behind().take();
      static thread_local const Leave at_the_end;
      static_cast<void>(at_the_end);
    }
    return *mine_;
  }

 private:
  struct LeftBehind {
    BlockPool* take() {
      const std::lock_guard lock(mutex);
      if (pools.empty()) return new BlockPool;
      BlockPool* const pool = pools.back();
      pools.pop_back();
      return pool;
    }
    void add(BlockPool* pool) {
      const std::lock_guard lock(mutex);
      pools.push_back(pool);
    }
    std::mutex mutex;
    std::vector<BlockPool*> pools;
  };
  struct Leave {
    ~Leave() {
      if (mine_) left_behind().add(std::exchange(mine_, nullptr));
    }
  };
  static LeftBehind& left_behind() {
    static auto* pools = new LeftBehind;
    return *pools;
  }

  static thread_local BlockPool* mine_;
  std::deque<Block> nodes_;
  Block* free_ = nullptr;
};

thread_local BlockPool* BlockPool::mine_ = nullptr;

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
