// From an image to a model's input: geometry first, then floats.
#include <algorithm>
#include <cmath>
#include <optional>

#include "data/resample.h"
#include "shear/error.h"

namespace shear {
namespace {

void check(const Preprocess& p) {
  require(p.image > 0 && p.crop > 0 && p.resize >= 0, "preprocessing to ", p.image, " x ", p.image, " with crop ",
          p.crop, ", resized to ", p.resize, ", expected positive sizes");
  if (p.channels != 1 && p.channels != 3)
    fail(Fault::input, "the model sees ", p.channels, " channels, but images have 1 (grey) or 3 (colour)");
}

// Half of what is left out.
int64_t half(int64_t n, Halves halves) { return n / 2 + (halves == Halves::even && n % 2 != 0 && n / 2 % 2 != 0); }

Box whole(const View& from) { return {0, 0, static_cast<double>(from.width), static_cast<double>(from.height)}; }

void stretch(const View& from, const Preprocess& p, Image& to) {
  resample(from, p.image, p.image, p.interpolation, whole(from), {0, 0, p.image, p.image}, to);
}

int rounded(double x) { return static_cast<int>(std::nearbyint(x)); }

// One side of what was resized, and where the model's part of it is.
struct Axis {
  int64_t all;
  int64_t cut, pad;  // left out before what is seen, or filled before it
  int seen;
};

Axis axis(int64_t all, const Preprocess& p) {
  if (all < p.image) return {all, 0, (p.image - all) / 2, static_cast<int>(all)};
  return {all, half(all - p.image, p.halves), 0, p.image};
}

struct Sides {
  int64_t width, height;
};

// What an image is resized to before the cut.
Sides resized(const View& from, const Preprocess& p) {
  const int64_t side = resized_side(p);
  switch (p.fit) {
    case Fit::none:
      return {from.width, from.height};
    case Fit::both:
      return {side, side};
    case Fit::shorter: {
      const int64_t shorter = std::min(from.width, from.height);
      return {side * from.width / shorter, side * from.height / shorter};
    }
    case Fit::longer: {  // timm's ResizeKeepRatio(longest=1)
      const double to = static_cast<double>(side), ratio = std::max(from.width / to, from.height / to);
      return {std::max<int64_t>(1, std::llrint(from.width / ratio)),
              std::max<int64_t>(1, std::llrint(from.height / ratio))};
    }
  }
  return {};
}

// `seen` in the middle of the colour that fills what an image leaves free.
void on_ground(Image seen, const Axis& x, const Axis& y, const Preprocess& p, Image& to) {
  seen = to_channels(std::move(seen), p.channels);
  const auto channels = static_cast<size_t>(p.channels), row = static_cast<size_t>(p.image) * channels;
  to.width = to.height = p.image;
  to.channels = p.channels;
  to.pixels.assign(static_cast<size_t>(p.image) * row, 0);
  if (p.fit == Fit::longer)
    for (size_t i = 0; i < to.pixels.size(); ++i)
      to.pixels[i] = static_cast<uint8_t>(std::clamp(rounded(255.f * p.mean[i % channels]), 0, 255));
  const size_t line = static_cast<size_t>(x.seen) * channels;
  for (size_t r = 0; r < static_cast<size_t>(y.seen); ++r)
    std::copy_n(seen.pixels.data() + r * line, line,
                to.pixels.data() + (static_cast<size_t>(y.pad) + r) * row + static_cast<size_t>(x.pad) * channels);
}

// Resizing and the centre's cut, as torchvision's Resize and CenterCrop, timm's CenterCropOrPad and transformers'
// processors; only what is cut out is computed.
void centre(const View& from, const Preprocess& p, Image& to) {
  const auto [width, height] = resized(from, p);
  if (!p.cut && (width != p.image || height != p.image))
    fail(Fault::input, "an image of ", from.width, " x ", from.height,
         p.fit == Fit::none ? " is not resized" : text(" becomes ", width, " x ", height, " and is not cut"),
         ", as its model's library has it, expected ", p.image, " x ", p.image);
  const Axis x = axis(width, p), y = axis(height, p);
  const Window window{x.cut, y.cut, x.seen, y.seen};
  if (x.seen == p.image && y.seen == p.image)
    return resample(from, width, height, p.interpolation, whole(from), window, to);
  Image seen;
  resample(from, width, height, p.interpolation, whole(from), window, seen);
  on_ground(std::move(seen), x, y, p, to);
}

// The image shifted by (right, down), zeros where nothing came from.
Image shifted(const Image& from, int right, int down) {
  Image to{from.width, from.height, from.channels, std::vector<uint8_t>(from.pixels.size())};
  const int columns = from.width - std::abs(right), channels = from.channels;
  if (columns <= 0) return to;
  for (int y = std::max(down, 0); y < from.height + std::min(down, 0); ++y) {
    const ptrdiff_t in = ptrdiff_t{y - down} * from.width + std::max(-right, 0);
    const ptrdiff_t out = ptrdiff_t{y} * from.width + std::max(right, 0);
    std::copy_n(from.pixels.begin() + in * channels, columns * channels, to.pixels.begin() + out * channels);
  }
  return to;
}

// (v / 255 - mean) / std for each of the 256 values, as PyTorch computes it in single precision.
std::array<float, 256> normalised(float mean, float std) {
  std::array<float, 256> table;
  for (size_t v = 0; v < table.size(); ++v) table[v] = (static_cast<float>(v) / 255.f - mean) / std;
  return table;
}

// Interleaved bytes to planes of floats; a grey image fills all planes.
void to_planes(const Image& image, const Preprocess& p, bool flip, float* chw) {
  const size_t side = static_cast<size_t>(p.image), channels = static_cast<size_t>(image.channels);
  for (size_t c = 0; c < static_cast<size_t>(p.channels); ++c) {
    const std::array<float, 256> table = normalised(p.mean[c], p.std[c]);
    const uint8_t* in = image.pixels.data() + (channels == 1 ? 0 : c);
    for (size_t y = 0; y < side; ++y, in += side * channels, chw += side) {
      if (flip)
        for (size_t x = 0; x < side; ++x) chw[side - 1 - x] = table[in[x * channels]];
      else
        for (size_t x = 0; x < side; ++x) chw[x] = table[in[x * channels]];
    }
  }
}

// Colour is turned into grey before the geometry, as PIL does; grey becomes colour last, which gives the same bits.
const Image& as_grey(const Image& image, const Preprocess& p, std::optional<Image>& room) {
  require(image.width > 0 && image.height > 0 && (image.channels == 1 || image.channels == 3),
          "preprocessing an image of ", image.width, " x ", image.height, " with ", image.channels,
          " channels, expected 1 or 3");
  return image.channels > p.channels ? room.emplace(to_channels(image, p.channels)) : image;
}

// The model-sized image between geometry and floats: a thread keeps its room from one call to the next.
Image& part_of_thread() {
  thread_local Image part;
  return part;
}

}  // namespace

// Ten tries at a share of the area and a ratio, else the largest central part whose ratio is allowed.
Crop random_crop(int width, int height, const Augment& augment, Stream& stream) {
  const double low = augment.ratio[0], high = augment.ratio[1];
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double area = double{1} * width * height * stream.uniform(augment.area[0], augment.area[1]);
    const double ratio = std::exp(std::log(low) + (std::log(high) - std::log(low)) * stream.uniform());
    const int w = rounded(std::sqrt(area * ratio)), h = rounded(std::sqrt(area / ratio));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const int top = static_cast<int>(stream.below(static_cast<uint32_t>(height - h + 1)));
    const int left = static_cast<int>(stream.below(static_cast<uint32_t>(width - w + 1)));
    return {left, top, w, h};
  }
  const double ratio = static_cast<double>(width) / height;
  int w = width, h = height;
  if (ratio < low) h = std::clamp(rounded(width / low), 1, height);
  if (ratio > high) w = std::clamp(rounded(height * high), 1, width);
  return {(width - w) / 2, (height - h) / 2, w, h};
}

// `crop` stands for a short decimal: without the nudge 0.8f, a little above 0.8, would turn 240 / 0.8 into 299.
int64_t resized_side(const Preprocess& p) {
  if (p.resize > 0) return p.resize;
  const double side = std::min(p.image / static_cast<double>(p.crop) * (1 + 1e-6), 1e9);
  return std::max<int64_t>(static_cast<int64_t>(side), 1);
}

void prepare_eval(const Image& image, const Preprocess& p, float* chw) {
  check(p);
  std::optional<Image> grey;
  Image& part = part_of_thread();
  centre(view(as_grey(image, p, grey)), p, part);
  to_planes(part, p, false, chw);
}

void prepare_train(const Image& image, const Preprocess& p, const Augment& augment, Stream& stream, float* chw) {
  check(p);
  require(augment.area[0] > 0 && augment.area[0] <= augment.area[1] && augment.ratio[0] > 0 &&
              augment.ratio[0] <= augment.ratio[1] && augment.pad >= 0,
          "augmentation with area ", augment.area[0], " to ", augment.area[1], ", ratio ", augment.ratio[0], " to ",
          augment.ratio[1], ", pad ", augment.pad, ", expected positive rising ranges");
  std::optional<Image> grey;
  const View from = view(as_grey(image, p, grey));
  Image& part = part_of_thread();
  if (augment.pad > 0) {
    // A cut of the padded image at (x, y) is the image shifted by (pad - x, pad - y).
    const uint32_t choices = 2 * static_cast<uint32_t>(augment.pad) + 1;
    const int down = augment.pad - static_cast<int>(stream.below(choices));
    const int right = augment.pad - static_cast<int>(stream.below(choices));
    centre(from, p, part);
    part = shifted(part, right, down);
  } else if (augment.random_crop) {
    const Crop crop = random_crop(from.width, from.height, augment, stream);
    stretch(cut(from, crop.left, crop.top, crop.width, crop.height), p, part);
  } else {
    centre(from, p, part);
  }
  const bool flip = augment.flip && stream.below(2) == 1;
  to_planes(part, p, flip, chw);
}

}  // namespace shear
