// Batches made ahead of who asks for them.
//
// Batches stand in a ring of slots.  Samples are handed out in order, a few at a time, to whichever thread is free;
// each is written to its own place, so that the result knows nothing of threads.
#include <algorithm>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <new>
#include <numeric>
#include <thread>

#include "shear/data.h"
#include "shear/error.h"

namespace shear {
namespace {

void draw_order(std::vector<int64_t>& order, uint64_t seed, int64_t epoch) {
  std::iota(order.begin(), order.end(), int64_t{0});
  Stream stream(seed, Purpose::shuffle, static_cast<uint64_t>(epoch));
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[stream.below(static_cast<uint32_t>(i))]);
}

void check(const Dataset& data, const Loader::Options& o) {
  require(o.batch > 0 && o.threads > 0 && o.ahead > 0, "loader: batch ", o.batch, ", threads ", o.threads, ", ahead ",
          o.ahead, ", expected at least 1 of each");
  require(data.size() <= std::numeric_limits<uint32_t>::max(), "loader: ", data.size(),
          " samples, expected at most 2^32 - 1");
  if (o.training && data.size() < o.batch)
    fail(Fault::input, "the training set has ", data.size(), " samples, fewer than one batch of ", o.batch,
         "; expected a smaller batch or more data");
}

int64_t floats_of(const Preprocess& p) { return int64_t{p.channels} * p.image * p.image; }
size_t slots_of(const Loader::Options& o) { return static_cast<size_t>(o.ahead) + 1; }  // one is with the caller

// What stopped a batch: the first by position, so that it does not depend on which thread was quicker.
struct Failure {
  int64_t position = std::numeric_limits<int64_t>::max();
  Fault fault = Fault::internal;
  std::string sentence;
};

struct Slot {
  Batch batch;
  int64_t epoch = 0;
  int64_t missing = 0;  // samples not yet written
  Failure failure;
};

}  // namespace

std::vector<int64_t> epoch_order(int64_t size, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order(static_cast<size_t>(size));
  draw_order(order, seed, epoch);
  return order;
}

// Bytes of images that are being decoded: who asks waits until there is room.
class DecodingRoom {
 public:
  explicit DecodingRoom(size_t room) : room_(room) {}
  void enter(size_t bytes, const Dataset& data, int64_t index) {
    if (room_ > 0 && bytes > room_)
      fail(Fault::memory, data.describe(index), ": decoding it takes ", bytes >> 20, " MiB, ", room_ >> 20,
           " are left beside the training step, expected a smaller image");
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return room_ == 0 || used_ + bytes <= room_; });
    used_ += bytes;
    peak_ = std::max(peak_, used_);
  }
  void leave(size_t bytes) {
    const std::lock_guard lock(mutex_);
    used_ -= bytes;
    changed_.notify_all();
  }
  size_t peak() const {
    const std::lock_guard lock(mutex_);
    return peak_;
  }

 private:
  const size_t room_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  size_t used_ = 0, peak_ = 0;
};

struct Loader::State {
  // Samples [first, first + count) of a slot's batch.
  struct Piece {
    Slot* slot;
    int64_t first, count;
  };

  State(const Dataset& dataset, const Options& o)
      : data(dataset),
        options(o),
        per_epoch(o.training ? data.size() / o.batch : (data.size() + o.batch - 1) / o.batch),
        sample_floats(floats_of(o.preprocess)),
        piece_size(std::clamp<int64_t>(o.batch / (4 * o.threads), 1, 16)),
        decoding(o.decoding_room),
        order(static_cast<size_t>(data.size())),
        slots(slots_of(o)) {
    for (Slot& slot : slots) resize(slot.batch, o.batch);
    std::iota(order.begin(), order.end(), int64_t{0});
  }

  // Not in the constructor: should a thread not start, the destructor ends those that did.
  void launch() {
    for (int i = 0; i < options.threads; ++i) threads.emplace_back([this] { work(); });
  }

  ~State() {
    const std::lock_guard lock(mutex);
    stopping = true;
    work_changed.notify_all();
  }  // the threads are joined by their destructors, after the lock is gone

  void resize(Batch& batch, int64_t count) const {
    batch.count = count;
    batch.images.resize(static_cast<size_t>(count * sample_floats));
    batch.labels.resize(static_cast<size_t>(count));
    batch.indices.resize(static_cast<size_t>(count));
  }

  Slot& slot_of(int64_t batch) { return slots[static_cast<size_t>(batch) % slots.size()]; }

  // -- Under the lock -----------------------------------------------------------------------------------------------
  bool at_end(int64_t batch) const { return !options.training && first_batch + batch >= per_epoch; }

  bool has_work() const {
    if (!started) return false;
    return handed_out < opened_size || (opened - released < static_cast<int64_t>(slots.size()) && !at_end(opened));
  }

  void open_batch() {
    Slot& slot = slot_of(opened);
    const int64_t number = first_batch + opened;
    const int64_t first = number % per_epoch * options.batch;
    slot.epoch = first_epoch + number / per_epoch;
    if (options.training && slot.epoch != order_epoch) {
      draw_order(order, options.seed, slot.epoch);
      order_epoch = slot.epoch;
    }
    resize(slot.batch, std::min(options.batch, data.size() - first));
    std::copy_n(order.begin() + first, slot.batch.count, slot.batch.indices.begin());
    slot.missing = slot.batch.count;
    slot.failure = {};
    opened_size = slot.batch.count;
    handed_out = 0;
    ++opened;
  }

  Piece take() {
    if (handed_out == opened_size) open_batch();
    const Piece piece{&slot_of(opened - 1), handed_out, std::min(piece_size, opened_size - handed_out)};
    handed_out += piece.count;
    return piece;
  }

  // -- On the loader's threads --------------------------------------------------------------------------------------
  void work() {
    std::unique_lock lock(mutex);
    for (;;) {
      work_changed.wait(lock, [this] { return stopping || has_work(); });
      if (stopping) return;
      const Piece piece = take();
      ++busy;
      lock.unlock();
      Failure failure = fill(piece);
      lock.lock();
      --busy;
      Slot& slot = *piece.slot;
      if (failure.position < slot.failure.position) slot.failure = std::move(failure);
      slot.missing -= piece.count;
      if (slot.missing == 0 || busy == 0) progress.notify_all();
    }
  }

  Failure fill(const Piece& piece) const {
    for (int64_t i = piece.first; i < piece.first + piece.count; ++i) {
      const int64_t index = piece.slot->batch.indices[static_cast<size_t>(i)];
      try {
        prepare(piece.slot->epoch, index, piece.slot->batch.images.data() + i * sample_floats);
        piece.slot->batch.labels[static_cast<size_t>(i)] = data.label(index);
      } catch (const Error& error) {
        return {i, error.fault(), error.what()};
      } catch (const std::bad_alloc&) {
        return {i, Fault::memory, text(data.describe(index), ": does not fit into memory")};
      } catch (const std::exception& error) {
        return {i, Fault::internal, text(data.describe(index), ": ", error.what())};
      }
    }
    return {};
  }

  Image read(int64_t index) const {
    struct Stay {
      DecodingRoom& room;
      size_t bytes;
      ~Stay() { room.leave(bytes); }
    };
    const size_t bytes = data.reading_bytes(index);
    if (bytes == 0) return data.read(index);
    decoding.enter(bytes, data, index);
    const Stay stay{decoding, bytes};
    return data.read(index);
  }

  void prepare(int64_t epoch, int64_t index, float* chw) const {
    const Image image = read(index);
    try {
      if (!options.training) return prepare_eval(image, options.preprocess, chw);
      Stream stream(options.seed, Purpose::augment, static_cast<uint64_t>(epoch), static_cast<uint64_t>(index));
      prepare_train(image, options.preprocess, options.augment, stream, chw);
    } catch (const Error& error) {
      fail(error.fault(), data.describe(index), ": ", error.what());
    }
  }

  // -- For the caller -----------------------------------------------------------------------------------------------
  void start(int64_t epoch, int64_t batch) {
    std::unique_lock lock(mutex);
    started = false;  // nothing new is handed out; what is being filled is waited for
    progress.wait(lock, [this] { return busy == 0; });
    first_epoch = epoch;
    first_batch = batch;
    opened = released = handed_out = opened_size = 0;
    holding = false;
    started = true;
    work_changed.notify_all();
  }

  const Batch* next() {
    std::unique_lock lock(mutex);
    require(started, "loader: next before start");
    if (holding) {
      ++released;
      holding = false;
      work_changed.notify_all();
    }
    if (at_end(released)) return nullptr;
    Slot& slot = slot_of(released);
    progress.wait(lock, [&] { return opened > released && slot.missing == 0; });
    // A batch that failed stays where it is: asking again tells the same.
    if (!slot.failure.sentence.empty()) throw Error(slot.failure.fault, slot.failure.sentence);
    holding = true;
    return &slot.batch;
  }

  const Dataset& data;
  const Loader::Options options;
  const int64_t per_epoch, sample_floats, piece_size;
  mutable DecodingRoom decoding;

  std::mutex mutex;
  std::condition_variable work_changed, progress;
  bool started = false, stopping = false, holding = false;
  int64_t first_epoch = 0, first_batch = 0;
  int64_t opened = 0, released = 0;         // batches, counted from the start
  int64_t handed_out = 0, opened_size = 0;  // samples of the batch opened last
  int busy = 0;                             // threads that are filling a piece
  std::vector<int64_t> order;               // of order_epoch; as stored when not training
  int64_t order_epoch = -1;
  std::vector<Slot> slots;
  std::vector<std::jthread> threads;  // last: they end before what they use
};

Loader::Loader(const Dataset& data, const Options& options) {
  check(data, options);
  state_ = std::make_unique<State>(data, options);
  state_->launch();
}

Loader::~Loader() = default;

size_t Loader::bytes(const Options& o) {
  const size_t sample =
      static_cast<size_t>(floats_of(o.preprocess)) * sizeof(float) + sizeof(int32_t) + sizeof(int64_t);
  return slots_of(o) * static_cast<size_t>(o.batch) * sample;
}

size_t Loader::decoding_peak() const { return state_->decoding.peak(); }

int64_t Loader::batches_per_epoch() const { return state_->per_epoch; }

void Loader::start(int64_t epoch, int64_t first_batch) {
  require(epoch >= 0 && first_batch >= 0, "loader: start at batch ", first_batch, " of epoch ", epoch);
  state_->start(epoch, first_batch);
}

const Batch* Loader::next() { return state_->next(); }

}  // namespace shear
