// What a policy remembers of the images that it has seen, and how many rows of each it therefore keeps.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace shear {

// How far the logits of each image were from its target when it was seen last.  What an image adds to a gradient is
// proportional to that: rows of one that is learnt already are worth little.
class ImageMemory {
 public:
  void know(int64_t count) { distance_.assign(static_cast<size_t>(count), unseen); }
  void see(std::span<const int64_t> images) { batch_.assign(images.begin(), images.end()); }
  void learn(std::span<const float> distances);
  std::span<float> state() { return distance_; }

  // Of `all` rows of each of so many images, how many are kept: in proportion to the image's distance, but at least one
  // and at most all, and images * each together.  Images that have no number, or that were not seen before, count as
  // the mean of the others.  What is kept is right in the mean whatever is remembered: each row of an image has the
  // same chance.
  std::span<const int64_t> shares(int64_t images, int64_t all, int64_t each);

 private:
  static constexpr float unseen = -1;

  std::vector<float> distance_;  // by image; `unseen`
  std::vector<int64_t> batch_;
  std::vector<double> weight_, left_;
  std::vector<int64_t> shares_;
};

}  // namespace shear
