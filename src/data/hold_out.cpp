// A part of the training images, the same share of every class, set aside for validation.
#include <algorithm>
#include <cmath>
#include <utility>

#include "data/sources.h"
#include "shear/error.h"

namespace shear {
namespace {

// Some of another data set's samples.
class Part final : public Dataset {
 public:
  Part(std::shared_ptr<const Dataset> all, std::vector<int64_t> indices)
      : all_(std::move(all)), indices_(std::move(indices)) {}

  int64_t size() const override { return static_cast<int64_t>(indices_.size()); }
  int channels() const override { return all_->channels(); }
  const std::vector<std::string>& classes() const override { return all_->classes(); }
  int label(int64_t index) const override { return all_->label(inner(index)); }
  Image read(int64_t index) const override { return all_->read(inner(index)); }
  std::string describe(int64_t index) const override { return all_->describe(inner(index)); }
  std::string key(int64_t index) const override { return all_->key(inner(index)); }
  uint64_t sign(int64_t index) const override { return all_->sign(inner(index)); }
  size_t reading_bytes(int64_t index) const override { return all_->reading_bytes(inner(index)); }

 private:
  int64_t inner(int64_t index) const { return indices_[static_cast<size_t>(index)]; }

  std::shared_ptr<const Dataset> all_;
  std::vector<int64_t> indices_;  // rising
};

// FNV-1a: a class keeps its draw whatever classes stand beside it, in whatever order.
uint64_t hash(const std::string& name) {
  uint64_t value = 0xcbf29ce484222325;
  for (const char c : name) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return value;
}

}  // namespace

void hold_out(DataSplits& splits, double share, uint64_t seed, const std::string& data) {
  const std::shared_ptr<const Dataset> all = std::move(splits.train);
  std::vector<std::vector<int64_t>> by_class(all->classes().size());
  for (int64_t i = 0; i < all->size(); ++i) by_class[static_cast<size_t>(all->label(i))].push_back(i);
  std::vector<int64_t> train, val;
  for (size_t c = 0; c < by_class.size(); ++c) {
    std::vector<int64_t>& images = by_class[c];
    const uint64_t name = hash(all->classes()[c]);
    Stream stream(seed, Purpose::split, name, name >> 32);
    for (size_t i = images.size(); i > 1; --i) std::swap(images[i - 1], images[stream.below(static_cast<uint32_t>(i))]);
    const int64_t count = std::ssize(images);
    const int64_t held =
        count < 2 ? 0 : std::clamp<int64_t>(std::llround(share * static_cast<double>(count)), 1, count - 1);
    val.insert(val.end(), images.begin(), images.begin() + held);
    train.insert(train.end(), images.begin() + held, images.end());
  }
  if (val.empty())
    fail(Fault::input, data, ": no class has two images, expected some, so that a part can be held out for validation");
  std::sort(train.begin(), train.end());
  std::sort(val.begin(), val.end());
  splits.train = std::make_unique<Part>(all, std::move(train));
  splits.val = std::make_unique<Part>(all, std::move(val));
}

}  // namespace shear
