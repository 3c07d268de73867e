// One block of a launch: its threads as fibers, and what they wait for each other at.
//
// A thread runs until it waits.  One that never does runs on the stack of the one before it, so that an elementwise
// kernel is a loop of calls; only a thread that waits gets a stack to itself.
#include <bit>
#include <cstdlib>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "emulation.h"
#include "fibers.h"

alignas(128) thread_local unsigned char dyn_smem[cuda_host_dynamic_shared];

namespace cuemu {

Checker* checker = nullptr;
Running running;

namespace {

constexpr unsigned warp_lanes = 32, every_lane = 0xffffffffu;

enum class State : uint8_t { not_begun, can_run, at_barrier, at_warp_operation, done };

struct BarrierWait {
  Barrier kind;
  int predicate;
  int* outcome;
};
struct WarpWait {
  Warp operation;
  unsigned mask;
  const void* in;
  void* out;
  size_t size;
  int source, width;
};
struct Thread {
  uint3 index;
  State state;
  unsigned lane, warp;
  Fiber* fiber;
  Site site;  // where it waits last, and for what
  BarrierWait barrier;
  WarpWait warp_wait;
};

bool same(const Site& a, const Site& b) { return a.line == b.line && a.file == b.file; }

struct WarpState {
  unsigned lanes = 0;  // that exist
  unsigned returned = 0;
  unsigned arrived[warp_lanes] = {};  // at a warp operation, by the lowest lane of its mask
};

class Block {
 public:
  bool run(const Launch&, uint64_t index);
  int barrier(Barrier, int predicate, Site);
  void warp_operation(const WarpWait&, Site);

 private:
  static void fiber_body();
  [[noreturn]] void run_threads();
  void enter(unsigned thread);
  void run_another(bool idle);
  void switch_to(Fiber&);
  Fiber& free_fiber();
  void make_ready(std::vector<unsigned>&);
  void release_barrier_if_all_are_there();
  void check_mask(const Thread&, const WarpState&);
  void check_company(const Thread&, const Thread& other);
  void note_return(const Thread&);
  void finish_warp_operation(Thread* lanes, unsigned group, Warp);
  void report_deadlock();

  const Launch* launch_ = nullptr;
  std::vector<Thread> threads_;
  std::vector<WarpState> warps_;
  std::vector<unsigned> ready_;  // threads that may run, from next_ on
  size_t next_ = 0;
  unsigned living_ = 0, at_barrier_ = 0;

  Fiber host_;
  std::deque<Fiber> fibers_;
  std::vector<Fiber*> idle_;
  Fiber* fiber_ = nullptr;
  std::vector<unsigned> released_;
};

Block& block() {
  static Block b;
  return b;
}

Counts all_counts;

// -- Threads ---------------------------------------------------------------------------------------------------------

bool Block::run(const Launch& launch, uint64_t index) {
  launch_ = &launch;
  running.block = index;
  const dim3 grid = launch.grid, size = launch.block;
  blockIdx = {static_cast<unsigned>(index % grid.x), static_cast<unsigned>(index / grid.x % grid.y),
              static_cast<unsigned>(index / grid.x / grid.y)};
  blockDim = size;
  gridDim = grid;

  const unsigned n = size.x * size.y * size.z;
  threads_.resize(n);
  warps_.assign((n + warp_lanes - 1) / warp_lanes, {});
  ready_.resize(n);
  next_ = 0;
  living_ = n;
  at_barrier_ = 0;
  for (unsigned i = 0; i < n; ++i) {
    Thread& t = threads_[i];
    t.index = {i % size.x, i / size.x % size.y, i / size.x / size.y};
    t.state = State::not_begun;
    t.lane = i % warp_lanes;
    t.warp = i / warp_lanes;
    t.fiber = nullptr;
    warps_[t.warp].lanes |= 1u << t.lane;
    ready_[i] = i;
  }
  arrange(ready_.data(), n);
  if (launch.shared_bytes > 0) std::memset(dyn_smem, 0xff, launch.shared_bytes);
  if (checker) checker->block_begins(n);
  ++all_counts.blocks;
  all_counts.threads += n;

  fiber_ = &host_;
  run_another(false);
  fiber_ = nullptr;
  running.thread = -1;
  if (living_ == 0) return true;
  report_deadlock();
  return false;
}

void Block::fiber_body() { block().run_threads(); }

// The life of a fiber: the thread that it was started for, then those that have not begun, then idleness.
void Block::run_threads() {
  for (;;) {
    launch_->call(launch_->arguments.get());
    Thread& t = threads_[static_cast<unsigned>(running.thread)];
    t.state = State::done;
    --living_;
    note_return(t);
    if (at_barrier_ > 0) release_barrier_if_all_are_there();
    if (next_ < ready_.size() && threads_[ready_[next_]].state == State::not_begun) {
      const unsigned following = ready_[next_++];
      threads_[following].fiber = fiber_;
      enter(following);
    } else {
      run_another(true);
    }
  }
}

void Block::enter(unsigned thread) {
  running.thread = static_cast<int>(thread);
  threads_[thread].state = State::can_run;
  threadIdx = threads_[thread].index;
}

// Runs whoever may; the host, if nobody may.  Returns when the thread or the host that asked goes on.
void Block::run_another(bool idle) {
  if (next_ == ready_.size()) {
    if (idle) idle_.push_back(fiber_);
    running.thread = -1;
    switch_to(host_);
    return;
  }
  const unsigned thread = ready_[next_++];
  Thread& t = threads_[thread];
  if (!t.fiber) t.fiber = &free_fiber();
  enter(thread);
  if (t.fiber == fiber_) return;  // the very thread that asked
  if (idle) idle_.push_back(fiber_);
  switch_to(*t.fiber);
}

void Block::switch_to(Fiber& to) {
  if (&to == fiber_) return;
  Fiber& from = *fiber_;
  fiber_ = &to;
  running.stack_low = to.low();
  running.stack_high = to.high();
  ++all_counts.switches;
  Fiber::switch_from_to(from, to);
}

Fiber& Block::free_fiber() {
  if (idle_.empty()) return fibers_.emplace_back(fiber_body);
  Fiber* const fiber = idle_.back();
  idle_.pop_back();
  return *fiber;
}

void Block::make_ready(std::vector<unsigned>& threads) {
  arrange(threads.data(), threads.size());
  if (next_ == ready_.size()) {
    ready_.clear();
    next_ = 0;
  }
  ready_.insert(ready_.end(), threads.begin(), threads.end());
}

void Block::report_deadlock() {
  report("%s: deadlock in block %llu of %zu threads: no thread can go on", kernel_name(launch_->kernel).c_str(),
         running.block, threads_.size());
  std::map<std::string, std::pair<unsigned, unsigned>> waiting;  // place: how many, the first of them
  for (unsigned i = 0; i < threads_.size(); ++i) {
    Thread& t = threads_[i];
    if (t.state == State::done) continue;
    const char* const at = t.state == State::at_barrier ? "the barrier at " : "the warp operation at ";
    const auto [entry, fresh] = waiting.insert({at + place(t.site), {0, i}});
    ++entry->second.first;
  }
  for (const auto& [at, who] : waiting)
    report("deadlock: %u threads, the first of them %u, wait at %s", who.first, who.second, at.c_str());
  // The threads are given up, and their stacks used again; nothing on them is destroyed.
  idle_.clear();
  for (Fiber& fiber : fibers_) {
    fiber.restart();
    idle_.push_back(&fiber);
  }
}

// -- Barriers --------------------------------------------------------------------------------------------------------

int Block::barrier(Barrier kind, int predicate, Site site) {
  if (running.thread < 0) {
    report("%s: a barrier outside of a kernel", place(site).c_str());
    return 0;
  }
  int outcome = 0;
  Thread& t = threads_[static_cast<unsigned>(running.thread)];
  t.state = State::at_barrier;
  t.site = site;
  t.barrier = {kind, predicate, &outcome};
  ++at_barrier_;
  release_barrier_if_all_are_there();
  run_another(false);
  return outcome;
}

void Block::release_barrier_if_all_are_there() {
  if (at_barrier_ != living_ || living_ == 0) return;
  released_.clear();
  int count = 0;
  const Thread *first = nullptr, *other = nullptr;
  for (unsigned i = 0; i < threads_.size(); ++i) {
    const Thread& t = threads_[i];
    if (t.state != State::at_barrier) continue;
    if (!first) first = &t;
    if (!same(t.site, first->site) || t.barrier.kind != first->barrier.kind) other = &t;
    count += t.barrier.predicate != 0;
    released_.push_back(i);
  }
  if (other)
    report("divergent barriers in block %llu: some threads wait at %s, some at %s", running.block,
           place(first->site).c_str(), place(other->site).c_str());
  if (living_ != threads_.size())
    report("%s: only %u of the %zu threads of block %llu reach the barrier, the others have returned",
           place(first->site).c_str(), living_, threads_.size(), running.block);
  const int everyone = static_cast<int>(released_.size());
  for (const unsigned i : released_) {
    Thread& t = threads_[i];
    t.state = State::can_run;
    if (t.barrier.kind == Barrier::count) *t.barrier.outcome = count;
    if (t.barrier.kind == Barrier::all) *t.barrier.outcome = count == everyone;
    if (t.barrier.kind == Barrier::any) *t.barrier.outcome = count > 0;
  }
  at_barrier_ = 0;
  if (checker) checker->block_barrier();
  make_ready(released_);
}

// -- Warp operations -------------------------------------------------------------------------------------------------

void Block::warp_operation(const WarpWait& wait, Site site) {
  if (running.thread < 0) {
    report("%s: a warp operation outside of a kernel", place(site).c_str());
    return;
  }
  Thread& t = threads_[static_cast<unsigned>(running.thread)];
  WarpState& warp = warps_[t.warp];
  Thread* const lanes = &threads_[t.warp * warp_lanes];
  t.state = State::at_warp_operation;
  t.site = site;
  t.warp_wait = wait;
  check_mask(t, warp);

  const unsigned self = 1u << t.lane, expected = wait.mask & warp.lanes & ~warp.returned;
  unsigned& arrived = warp.arrived[std::countr_zero(expected | self)];
  if (arrived) check_company(t, lanes[std::countr_zero(arrived)]);
  arrived |= self;
  if ((arrived & expected) == expected) finish_warp_operation(lanes, std::exchange(arrived, 0), wait.operation);
  run_another(false);
}

void Block::check_mask(const Thread& t, const WarpState& warp) {
  const unsigned mask = t.warp_wait.mask, named = mask & warp.lanes;
  if (!(mask >> t.lane & 1))
    report("%s: lane %u calls with mask %08x, which leaves it out", place(t.site).c_str(), t.lane, mask);
  if (mask != every_lane && mask != named)
    report("%s: mask %08x names lanes past the end of the block", place(t.site).c_str(), mask);
  if (named & warp.returned)
    report("%s: mask %08x names lanes %08x of warp %u of block %llu, which have returned", place(t.site).c_str(), mask,
           named & warp.returned, t.warp, running.block);
}

// A lane that returns is not waited for any longer.
void Block::note_return(const Thread& t) {
  WarpState& warp = warps_[t.warp];
  Thread* const lanes = &threads_[t.warp * warp_lanes];
  warp.returned |= 1u << t.lane;
  for (unsigned& arrived : warp.arrived) {
    if (!arrived) continue;
    const Thread& waiting = lanes[std::countr_zero(arrived)];
    const unsigned mask = waiting.warp_wait.mask;
    if (!(mask >> t.lane & 1)) continue;
    report("%s: mask %08x names lane %u of warp %u of block %llu, which returns", place(waiting.site).c_str(), mask,
           t.lane, t.warp, running.block);
    const unsigned expected = mask & warp.lanes & ~warp.returned;
    if ((arrived & expected) == expected)
      finish_warp_operation(lanes, std::exchange(arrived, 0), waiting.warp_wait.operation);
  }
}

// What lanes wait for together must be one and the same.
void Block::check_company(const Thread& t, const Thread& other) {
  const WarpWait &a = t.warp_wait, &b = other.warp_wait;
  if (a.mask == b.mask && a.operation == b.operation && same(t.site, other.site)) return;
  report("divergent warp %u of block %llu: lane %u is at %s with mask %08x, lane %u at %s with mask %08x", t.warp,
         running.block, t.lane, place(t.site).c_str(), a.mask, other.lane, place(other.site).c_str(), b.mask);
}

// The lane that a shuffle reads; its own where the source lies outside of its segment.
int source_lane(const WarpWait& wait, int lane) {
  const int segment = lane & ~(wait.width - 1), end = segment + wait.width;
  switch (wait.operation) {
    case Warp::shuffle:
      return segment + (wait.source & (wait.width - 1));
    case Warp::shuffle_up:
      return lane - wait.source < segment ? lane : lane - wait.source;
    case Warp::shuffle_down:
      return lane + wait.source >= end ? lane : lane + wait.source;
    default:
      return (lane ^ wait.source) >= end ? lane : lane ^ wait.source;
  }
}

void Block::finish_warp_operation(Thread* lanes, unsigned group, Warp operation) {
  const auto for_each_lane = [group](auto&& f) {
    for (unsigned rest = group; rest; rest &= rest - 1) f(std::countr_zero(rest));
  };
  unsigned votes = 0;
  if (operation == Warp::ballot || operation == Warp::all || operation == Warp::any)
    for_each_lane([&](int lane) {
      if (*static_cast<const unsigned*>(lanes[lane].warp_wait.in)) votes |= 1u << lane;
    });
  released_.clear();
  for_each_lane([&](int lane) {
    Thread& t = lanes[lane];
    const WarpWait& wait = t.warp_wait;
    t.state = State::can_run;
    released_.push_back(t.warp * warp_lanes + t.lane);
    switch (operation) {
      case Warp::sync:
        break;
      case Warp::ballot:
        *static_cast<unsigned*>(wait.out) = votes;
        break;
      case Warp::all:
        *static_cast<unsigned*>(wait.out) = votes == group;
        break;
      case Warp::any:
        *static_cast<unsigned*>(wait.out) = votes != 0;
        break;
      case Warp::addresses:
        for (unsigned l = 0; l < warp_lanes; ++l)
          static_cast<const void**>(wait.out)[l] = (group >> l & 1) ? lanes[l].warp_wait.in : nullptr;
        break;
      default: {
        const int from = source_lane(wait, lane);
        if (from >= 0 && (group >> from & 1)) {
          std::memcpy(wait.out, lanes[from].warp_wait.in, wait.size);
        } else {
          report("%s: lane %d reads from lane %d, which takes no part", place(t.site).c_str(), lane, from);
          std::memset(wait.out, 0xff, wait.size);
        }
      }
    }
  });
  if (checker) checker->warp_barrier(threads_[released_[0]].warp, group);
  make_ready(released_);
}

}  // namespace

bool run_block(const Launch& launch, uint64_t index) { return block().run(launch, index); }
const Counts& counts() { return all_counts; }
Counts& mutable_counts() { return all_counts; }

int barrier(Barrier kind, int predicate, Site site) { return block().barrier(kind, predicate, site); }

void warp_operation(Warp operation, unsigned mask, const void* in, void* out, size_t size, int source, int width,
                    Site site) {
  block().warp_operation({operation, mask, in, out, size, source, width}, site);
}

void trap(Site site) {
  report("%s: the kernel traps in thread %d of block %llu", place(site).c_str(), running.thread, running.block);
  std::abort();
}

}  // namespace cuemu
