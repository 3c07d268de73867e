// tokens: of each image a stratified sample of its token rows, drawn anew in every step for every linear.
//
// The class token is always kept; of the n others exactly k are, each with probability k / n and scaled by n / k, so
// that dW is right in the mean.  With by=distance k differs from image to image: one whose logits were near their
// target when it was seen last has a small share in the gradient, and gets as small a share of the rows.  The sample is
// systematic: it spreads evenly over the image.  Kept rows are short codes rounded at random, which leaves the mean
// alone too.  Beyond the paper; nearest relative: WTA-CRS (Liu et al. 2023).
//
// Queries, keys and values sleep whole in 4 bits, about what a fifth of them would take in f16 with a mask, and
// attention is recomputed from them as in prebr++.
#include <vector>

#include "policies/image_memory.h"
#include "policies/pruning.h"
#include "shear/random.h"

namespace shear {

namespace {

class Tokens final : public Pruning {
 public:
  explicit Tokens(PolicyKeys& keys)
      : Pruning(keys, Code::u4),
        share_(keys.number("keep", keep() < 1 ? 0.5 : 1, 0.001, 1)),
        code_(keys.bits("bits", keep() < 1 ? Code::u4 : Code::f16)),
        by_distance_(keys.choice("by", {"even", "distance"}) == "distance"),
        seed_(keys.seed()) {
    keys.done();
  }

  void begin_step(int64_t step) override {
    step_ = step;
    drawn_ = 0;
  }

  bool remembers_images() const override { return by_distance_; }
  void know_images(int64_t count) override { images_.know(count); }
  void see_images(std::span<const int64_t> images) override { images_.see(images); }
  void learn_distances(std::span<const float> distances) override { images_.learn(distances); }
  std::vector<PolicyState> state() override {
    if (!by_distance_) return {};
    return {{"images", images_.state()}};
  }

 protected:
  Verdict linear(const SaveRequest& request) override {
    const Shape& s = request.shape;
    if (s.rank() != 3 || s[1] < 2) return Keep{};
    draw(s[0], s[1]);
    return SampleRows{index_, scale_, by_columns(code_, true)};
  }

 private:
  void draw(int64_t images, int64_t tokens) {
    const int64_t others = tokens - 1, each = share_of(share_, tokens) - 1;
    const std::span<const int64_t> shares = images_.shares(images, others, each);
    index_.clear();
    scale_.clear();
    Stream stream(seed_, Purpose::policy, static_cast<uint64_t>(step_), 0x80000000u + drawn_++);
    for (int64_t image = 0; image < images; ++image) {
      const int64_t kept = shares[static_cast<size_t>(image)];
      const float scale = kept > 0 ? static_cast<float>(others) / static_cast<float>(kept) : 0;
      index_.push_back(static_cast<int32_t>(image * tokens));
      scale_.push_back(1);
      const uint32_t start = stream.below(static_cast<uint32_t>(others));
      // Row t is kept where a multiple of `others` lies in (start + t kept, start + (t + 1) kept].
      for (int64_t t = 0; t < others; ++t) {
        if ((start + (t + 1) * kept) / others == (start + t * kept) / others) continue;
        index_.push_back(static_cast<int32_t>(image * tokens + 1 + t));
        scale_.push_back(scale);
      }
    }
  }

  double share_;
  Code code_;
  bool by_distance_;
  uint64_t seed_;
  ImageMemory images_;
  int64_t step_ = 0;
  uint32_t drawn_ = 0;  // linears in this step
  std::vector<int32_t> index_;
  std::vector<float> scale_;
};

}  // namespace

std::unique_ptr<MemoryPolicy> make_tokens(PolicyKeys& keys) { return std::make_unique<Tokens>(keys); }

}  // namespace shear
