// The loader: what it yields, in which order, and what it does with errors.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "image_files.h"

namespace shear::test {
namespace {

// Images made on the spot, each of its own size and look; some cannot be read.
class Made final : public Dataset {
 public:
  explicit Made(int64_t size, std::set<int64_t> broken = {}, int channels = 3)
      : size_(size), channels_(channels), broken_(std::move(broken)) {}

  int64_t size() const override { return size_; }
  int channels() const override { return channels_; }
  const std::vector<std::string>& classes() const override { return classes_; }
  int label(int64_t index) const override { return static_cast<int>(index % 3); }
  Image read(int64_t index) const override {
    if (broken_.contains(index)) fail(Fault::input, describe(index), ": is broken");
    Image image = pattern(6 + static_cast<int>(index % 5), 6 + static_cast<int>(index % 7), channels_);
    image.pixels[0] = static_cast<uint8_t>(index);
    return image;
  }
  std::string describe(int64_t index) const override { return text("image ", index); }

 private:
  int64_t size_;
  int channels_;
  std::set<int64_t> broken_;
  std::vector<std::string> classes_{"a", "b", "c"};
};

Loader::Options options(bool training, int64_t batch, int threads = 2) {
  Loader::Options o;
  o.batch = batch;
  o.training = training;
  o.seed = 5;
  o.threads = threads;
  o.preprocess.image = 8;
  return o;
}

// A copy of the next batch.
Batch take(Loader& loader) {
  const Batch* batch = loader.next();
  REQUIRE(batch);
  return *batch;
}

bool same(const Batch& a, const Batch& b) {
  return a.count == b.count && a.images == b.images && a.labels == b.labels && a.indices == b.indices;
}

}  // namespace

TEST_CASE("an epoch's order is a permutation of its own, the same at every call") {
  std::vector<int64_t> order = epoch_order(1000, 7, 3);
  CHECK(order == epoch_order(1000, 7, 3));
  CHECK(order != epoch_order(1000, 7, 4));
  CHECK(order != epoch_order(1000, 8, 3));
  std::sort(order.begin(), order.end());
  for (int64_t i = 0; i < 1000; ++i) REQUIRE(order[static_cast<size_t>(i)] == i);
  CHECK(epoch_order(0, 1, 0).empty());
  CHECK(epoch_order(1, 1, 0) == std::vector<int64_t>{0});
}

TEST_CASE("in training every sample comes at most once an epoch, in the epoch's order, in whole batches") {
  const Made data(23);
  Loader loader(data, options(true, 5));
  CHECK(loader.batches_per_epoch() == 4);
  loader.start(2);
  for (int64_t epoch = 2; epoch < 5; ++epoch) {
    std::vector<int64_t> seen;
    for (int i = 0; i < 4; ++i) {
      const Batch batch = take(loader);
      CHECK(batch.count == 5);
      CHECK(batch.images.size() == 5 * 3 * 8 * 8);
      for (size_t k = 0; k < 5; ++k) CHECK(batch.labels[k] == data.label(batch.indices[k]));
      seen.insert(seen.end(), batch.indices.begin(), batch.indices.end());
    }
    const std::vector<int64_t> order = epoch_order(23, 5, epoch);
    CHECK(std::equal(seen.begin(), seen.end(), order.begin()));
  }
}

TEST_CASE("a training image depends on seed, epoch and sample alone") {
  const Made data(10);
  const Loader::Options o = options(true, 10);
  Loader loader(data, o);
  loader.start(0);
  for (uint64_t epoch = 0; epoch < 3; ++epoch) {
    const Batch batch = take(loader);
    for (size_t k = 0; k < 10; ++k) {
      std::vector<float> alone(3 * 8 * 8);
      Stream stream(o.seed, Purpose::augment, epoch, static_cast<uint64_t>(batch.indices[k]));
      prepare_train(data.read(batch.indices[k]), o.preprocess, o.augment, stream, alone.data());
      CHECK(std::equal(alone.begin(), alone.end(), batch.images.begin() + static_cast<ptrdiff_t>(k * alone.size())));
    }
  }
}

TEST_CASE("an evaluation pass goes through all samples in order, then ends") {
  const Made data(13);
  Loader loader(data, options(false, 5));
  CHECK(loader.batches_per_epoch() == 3);
  for (int pass = 0; pass < 2; ++pass) {
    loader.start(0);
    int64_t expected = 0;
    for (const int64_t count : {5, 5, 3}) {
      const Batch batch = take(loader);
      CHECK(batch.count == count);
      CHECK(batch.images.size() == static_cast<size_t>(count * 3 * 8 * 8));
      CHECK(std::ssize(batch.labels) == count);
      for (size_t k = 0; k < batch.indices.size(); ++k, ++expected) {
        CHECK(batch.indices[k] == expected);
        std::vector<float> alone(3 * 8 * 8);
        prepare_eval(data.read(expected), options(false, 5).preprocess, alone.data());
        CHECK(std::equal(alone.begin(), alone.end(), batch.images.begin() + static_cast<ptrdiff_t>(k * alone.size())));
      }
    }
    CHECK(loader.next() == nullptr);
    CHECK(loader.next() == nullptr);
  }
  loader.start(0, 2);
  CHECK(take(loader).count == 3);
  loader.start(0, 3);
  CHECK(loader.next() == nullptr);
}

TEST_CASE("the batches are the same on any number of threads and any number ahead") {
  const Made data(50);
  Loader one(data, options(true, 8, 1));
  one.start(0);
  std::vector<Batch> expected;
  for (int i = 0; i < 20; ++i) expected.push_back(take(one));
  for (const int threads : {2, 3, 7})
    for (const int ahead : {1, 4}) {
      Loader::Options o = options(true, 8, threads);
      o.ahead = ahead;
      Loader many(data, o);
      many.start(0);
      for (const Batch& batch : expected) REQUIRE(same(batch, take(many)));
    }
}

TEST_CASE("going on from the middle of an epoch equals running through") {
  const Made data(50);
  Loader through(data, options(true, 8));
  through.start(0);
  std::vector<Batch> expected;
  for (int i = 0; i < 20; ++i) expected.push_back(take(through));
  for (const int64_t first : {0, 3, 5, 6, 11}) {  // 6 batches an epoch
    Loader resumed(data, options(true, 8));
    resumed.start(first / 6, first % 6);
    for (size_t i = static_cast<size_t>(first); i < expected.size(); ++i) REQUIRE(same(expected[i], take(resumed)));
  }
  Loader beyond(data, options(true, 8));
  beyond.start(0, 8);  // past the end of epoch 0: batch 2 of epoch 1
  CHECK(same(take(beyond), expected[8]));
}

TEST_CASE("a loader starts again at any time") {
  const Made data(50);
  Loader fresh(data, options(true, 8));
  fresh.start(3, 1);
  const Batch expected = take(fresh);
  Loader loader(data, options(true, 8, 3));
  for (int taken = 0; taken < 12; ++taken) {
    loader.start(taken);
    for (int i = 0; i < taken; ++i) take(loader);
    loader.start(3, 1);
    REQUIRE(same(take(loader), expected));
  }
}

TEST_CASE("batch buffers are used again") {
  const Made data(50);
  Loader::Options o = options(true, 8);
  o.ahead = 2;
  Loader loader(data, o);
  loader.start(0);
  std::set<const float*> images;
  std::set<const int32_t*> labels;
  for (int i = 0; i < 60; ++i) {
    const Batch* batch = loader.next();
    images.insert(batch->images.data());
    labels.insert(batch->labels.data());
  }
  CHECK(images.size() == 3);  // two ahead, one with the caller
  CHECK(labels.size() == 3);
}

TEST_CASE("a batch stays as it is until the next is asked for") {
  const Made data(50);
  Loader loader(data, options(true, 8, 3));
  loader.start(0);
  for (int i = 0; i < 5; ++i) {
    const Batch* batch = loader.next();
    const Batch before = *batch;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // the threads fill all they may
    CHECK(same(before, *batch));
  }
}

TEST_CASE("a worker's error reaches the caller at its batch, names the sample and stays until a new start") {
  for (const int threads : {1, 4}) {
    const Made data(80, {17, 19, 33});
    Loader loader(data, options(false, 8, threads));
    loader.start(0);
    CHECK(take(loader).indices.front() == 0);
    CHECK(take(loader).indices.front() == 8);
    CHECK(sentence(Fault::input, [&] { loader.next(); }) == "image 17: is broken");
    CHECK(sentence(Fault::input, [&] { loader.next(); }) == "image 17: is broken");
    loader.start(0, 3);
    CHECK(take(loader).indices.front() == 24);
    CHECK(sentence(Fault::input, [&] { loader.next(); }) == "image 33: is broken");
    loader.start(0, 5);  // sound to the end, in the slots of those that failed
    for (int64_t batch = 5; batch < 10; ++batch) CHECK(take(loader).indices.front() == 8 * batch);
    CHECK(loader.next() == nullptr);
  }
}

TEST_CASE("an image that the model's preprocessing has no place for stops the loader with its name") {
  const Made data(8);
  Loader::Options o = options(false, 4);
  o.preprocess.fit = Fit::none;
  o.preprocess.cut = false;
  Loader loader(data, o);
  loader.start(0);
  CHECK(sentence(Fault::input, [&] { loader.next(); }) ==
        "image 0: an image of 6 x 6 is not resized, as its model's library has it, expected 8 x 8");
}

TEST_CASE("a truncated JPEG among good ones stops the loader with its name") {
  const TempDir root;
  for (const char* name : {"a/1.jpg", "a/2.jpg", "b/1.jpg"}) write_jpeg(root / name, pattern(20, 20, 3));
  std::vector<uint8_t> bytes = read_file(root / "a/2.jpg");
  bytes.resize(bytes.size() / 2);
  write_file(root / "a/2.jpg", bytes);
  const DataSplits data = open_data(root.path());
  Loader loader(*data.train, options(true, 3));
  loader.start(0);
  CHECK(contains(sentence(Fault::input, [&] { loader.next(); }), "a/2.jpg: is a broken JPEG"));
}

TEST_CASE("a grey data set feeds a colour model and the other way round") {
  const Made grey(4, {}, 1), colour(4, {}, 3);
  Loader::Options o = options(false, 4);
  Loader to_colour(grey, o);
  to_colour.start(0);
  const Batch three = take(to_colour);
  CHECK(std::equal(three.images.begin(), three.images.begin() + 64, three.images.begin() + 64));
  o.preprocess.channels = 1;
  Loader to_grey(colour, o);
  to_grey.start(0);
  CHECK(take(to_grey).images.size() == 4 * 64);
}

TEST_CASE("a training set smaller than a batch is refused, an evaluation set is not") {
  const Made data(5);
  CHECK(contains(sentence(Fault::input, [&] { Loader(data, options(true, 6)); }),
                 "has 5 samples, fewer than one batch of 6"));
  Loader loader(data, options(false, 6));
  loader.start(0);
  CHECK(take(loader).count == 5);
}

TEST_CASE("a loader that nobody reads ends quietly, and one that was not started says so") {
  const Made data(50);
  { Loader unused(data, options(true, 8, 3)); }
  {
    Loader unread(data, options(true, 8, 3));
    unread.start(0);
  }
  Loader loader(data, options(true, 8));
  CHECK(contains(sentence(Fault::internal, [&] { loader.next(); }), "next before start"));
  CHECK(contains(sentence(Fault::internal, [&] { loader.start(-1); }), "epoch -1"));
  CHECK(contains(sentence(Fault::internal, [&] { Loader(data, options(true, 0)); }), "batch 0"));
}

namespace {

// Says what reading takes, and sees how much of it is under way.
class Heavy final : public Dataset {
 public:
  int64_t size() const override { return 24; }
  int channels() const override { return 1; }
  const std::vector<std::string>& classes() const override { return classes_; }
  int label(int64_t) const override { return 0; }
  Image read(int64_t index) const override {
    const size_t now = under_way_ += reading_bytes(index);
    for (size_t most = most_; now > most && !most_.compare_exchange_weak(most, now);) {
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    under_way_ -= reading_bytes(index);
    return flat(8, 8, {static_cast<uint8_t>(index)});
  }
  std::string describe(int64_t index) const override { return text("photo ", index); }
  size_t reading_bytes(int64_t index) const override { return index % 3 == 0 ? 0 : size_t(index % 3) << 20; }

  size_t most() const { return most_; }

 private:
  std::vector<std::string> classes_{"a"};
  mutable std::atomic<size_t> under_way_{0}, most_{0};
};

}  // namespace

TEST_CASE("images are decoded side by side as far as there is room, and yield the same batches") {
  std::vector<Batch> free, cramped;
  for (const size_t room : {size_t{0}, size_t{2} << 20}) {
    const Heavy data;
    Loader::Options o = options(true, 8, 4);
    o.preprocess.channels = 1;
    o.decoding_room = room;
    Loader loader(data, o);
    loader.start(0);
    for (int i = 0; i < 6; ++i) (room ? cramped : free).push_back(take(loader));
    CHECK(loader.decoding_peak() >= size_t{2} << 20);
    if (room > 0) {
      CHECK(loader.decoding_peak() == room);
      CHECK(data.most() <= room);
    }
  }
  for (size_t i = 0; i < free.size(); ++i) CHECK(same(free[i], cramped[i]));
}

TEST_CASE("an image that takes more than there is room for is named, with both figures") {
  const Heavy data;
  Loader::Options o = options(false, 8);
  o.preprocess.channels = 1;
  o.decoding_room = size_t{1} << 20;
  Loader loader(data, o);
  loader.start(0);
  CHECK(sentence(Fault::memory, [&] { loader.next(); }) ==
        "photo 2: decoding it takes 2 MiB, 1 are left beside the training step, expected a smaller image");
}

}  // namespace shear::test
