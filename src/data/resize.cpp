// Pillow's resize, bit for bit: horizontal, then vertical, each rounded to 8 bits; the other way round, as of Pillow
// 13, where the height loses many more pixels than the width.
//
// Both passes keep 8 neighbours in the lanes of a vector and walk along the taps, so that no sum runs across lanes.
// In the second pass the neighbours lie side by side; for the first, 8 rows at a time are turned into columns of 8.
// Pixels are widened to 16 bits once, not at each tap.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "data/resample.h"
#include "shear/error.h"

namespace shear {
namespace {

constexpr int fraction_bits = 22;
constexpr int lanes = 8;
using Sums = int32_t __attribute__((vector_size(lanes * sizeof(int32_t))));
using Pixels = uint16_t __attribute__((vector_size(lanes * sizeof(uint16_t))));

double sinc(double x) { return x == 0 ? 1 : std::sin(x * M_PI) / (x * M_PI); }

double weight(Interpolation interpolation, double at) {
  const double x = std::abs(at);
  switch (interpolation) {
    case Interpolation::bilinear:
      return x < 1 ? 1 - x : 0;
    case Interpolation::bicubic: {
      constexpr double a = -0.5;
      if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
      if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
      return 0;
    }
    case Interpolation::lanczos:
      return -3 <= at && at < 3 ? sinc(at) * sinc(at / 3) : 0;
    case Interpolation::box:  // a pixel between two results is the left one's
      return -0.5 < at && at <= 0.5 ? 1 : 0;
    case Interpolation::hamming:
      return x < 1 ? sinc(x) * (0.54f + 0.46f * std::cos(x * M_PI)) : 0;  // Pillow has these two in single precision
  }
  return 0;
}

double reach(Interpolation interpolation) {
  switch (interpolation) {
    case Interpolation::bilinear:
    case Interpolation::hamming:
      return 1;
    case Interpolation::bicubic:
      return 2;
    case Interpolation::lanczos:
      return 3;
    case Interpolation::box:
      return 0.5;
  }
  return 0;
}

// What each result position along one axis is made of.
struct Taps {
  struct Run {
    int first, count;  // source positions
  };
  std::vector<Run> runs;
  int room;                      // weights set aside per position
  std::vector<int32_t> weights;  // (positions, room), with 22 fraction bits
  int begin, end;                // the source positions that all of them touch

  // [low, high) of `in` source positions onto `out` results, of which those in [from, from + count) are wanted.
  Taps(int in, double low, double high, int64_t out, Interpolation interpolation, int64_t from, int count);
};

Taps::Taps(int in, double low, double high, int64_t out, Interpolation interpolation, int64_t from, int count) {
  // Pillow takes the box in single precision.
  const float low_f = static_cast<float>(low), high_f = static_cast<float>(high);
  const double scale = static_cast<double>(high_f - low_f) / static_cast<double>(out);
  const double stretch = std::max(scale, 1.0);  // antialias: the filter grows with the reduction
  const double support = reach(interpolation) * stretch;
  room = static_cast<int>(std::ceil(support)) * 2 + 1;
  runs.resize(static_cast<size_t>(count));
  weights.resize(static_cast<size_t>(count) * static_cast<size_t>(room));
  begin = in;
  end = 0;
  std::vector<double> exact(static_cast<size_t>(room));
  for (int i = 0; i < count; ++i) {
    const double centre = low_f + (static_cast<double>(from + i) + 0.5) * scale;
    const int first = std::max(static_cast<int>(centre - support + 0.5), 0);
    const int last = std::min(static_cast<int>(centre + support + 0.5), in);
    double total = 0;
    for (int k = 0; k < last - first; ++k) {
      exact[static_cast<size_t>(k)] = weight(interpolation, (k + first - centre + 0.5) * (1.0 / stretch));
      total += exact[static_cast<size_t>(k)];
    }
    int32_t* fixed = weights.data() + static_cast<ptrdiff_t>(i) * room;
    for (int k = 0; k < last - first; ++k) {
      const double share = (total != 0 ? exact[static_cast<size_t>(k)] / total : 0) * (1 << fraction_bits);
      fixed[k] = static_cast<int32_t>(share < 0 ? share - 0.5 : share + 0.5);
    }
    runs[static_cast<size_t>(i)] = {first, last - first};
    begin = std::min(begin, first);
    end = std::max(end, last);
  }
}

// One vector of results: the weighted sum of `count` vectors of pixels, `stride` elements apart.
inline void sum_taps(const uint16_t* pixels, size_t stride, const int32_t* weights, int count, uint16_t* out) {
  Sums sums = Sums{} + (1 << (fraction_bits - 1));
  for (int k = 0; k < count; ++k) {
    Pixels tap;
    std::memcpy(&tap, pixels + static_cast<size_t>(k) * stride, sizeof tap);
    sums += __builtin_convertvector(tap, Sums) * weights[k];
  }
  sums >>= fraction_bits;
  sums = sums < 0 ? Sums{} : sums;
  sums = sums > 255 ? Sums{} + 255 : sums;
  const Pixels clipped = __builtin_convertvector(sums, Pixels);
  std::memcpy(out, &clipped, sizeof clipped);
}

// Room that a thread keeps from one image to the next: fresh pages would cost more than the arithmetic.
struct Room {
  std::vector<uint16_t> columns;  // (touched, lanes): an element of `lanes` rows
  std::vector<uint16_t> rows;     // between the passes: (rows, stride), whole vectors in each
  std::vector<uint16_t> line;     // a row of the result
};

size_t whole_lanes(size_t n) { return (n + lanes - 1) / lanes * lanes; }

// Row y of room.rows becomes row top + y of `from`, resampled along its width.
void along_rows(const View& from, int top, int rows, const Taps& taps, Room& room) {
  const size_t channels = static_cast<size_t>(from.channels), outs = taps.runs.size();
  const size_t touched = static_cast<size_t>(taps.end - taps.begin) * channels, stride = whole_lanes(outs * channels);
  room.columns.resize(touched * lanes);
  room.rows.resize(static_cast<size_t>(rows) * stride);
  for (int y = 0; y < rows; y += lanes) {
    const uint8_t* sources[lanes];  // past the last row, the last row again
    for (int r = 0; r < lanes; ++r)
      sources[r] = from.pixels + static_cast<size_t>(top + std::min(y + r, rows - 1)) * from.stride +
                   static_cast<size_t>(taps.begin) * channels;
    for (size_t i = 0; i < touched; ++i)
      for (size_t r = 0; r < lanes; ++r) room.columns[i * lanes + r] = sources[r][i];

    const size_t valid = static_cast<size_t>(std::min(lanes, rows - y));
    uint16_t* out = room.rows.data() + static_cast<size_t>(y) * stride;
    for (size_t x = 0; x < outs; ++x) {
      const size_t first = static_cast<size_t>(taps.runs[x].first - taps.begin) * channels * lanes;
      const int32_t* weights = taps.weights.data() + x * static_cast<size_t>(taps.room);
      for (size_t c = 0; c < channels; ++c, ++out) {
        uint16_t column[lanes];
        sum_taps(room.columns.data() + first + c * lanes, channels * lanes, weights, taps.runs[x].count, column);
        for (size_t r = 0; r < valid; ++r) out[r * stride] = column[r];
      }
    }
  }
}

// From room.rows, the first of which is row `top` of the source; `used` elements of each.
void down_columns(int top, const Taps& taps, size_t used, Room& room, uint8_t* out) {
  const size_t stride = whole_lanes(used);
  room.line.resize(stride);
  for (size_t y = 0; y < taps.runs.size(); ++y, out += used) {
    const uint16_t* first = room.rows.data() + static_cast<size_t>(taps.runs[y].first - top) * stride;
    const int32_t* weights = taps.weights.data() + y * static_cast<size_t>(taps.room);
    for (size_t i = 0; i < stride; i += lanes)
      sum_taps(first + i, stride, weights, taps.runs[y].count, room.line.data() + i);
    std::transform(room.line.begin(), room.line.begin() + static_cast<ptrdiff_t>(used), out,
                   [](uint16_t v) { return static_cast<uint8_t>(v); });
  }
}

// Pillow's rule (13.0; found by trial, and the golden vectors hold it).  It is by pixels, not by ratios, and does not
// look at the box.  Never true of the transposed image as well.
bool vertical_first(const View& from, int64_t width, int64_t height) {
  return height < from.height && from.height - height > 2 * (from.width - width);
}

}  // namespace

const std::vector<std::string>& interpolations() {
  static const std::vector<std::string> names{"bilinear", "bicubic", "lanczos", "box", "hamming"};  // as the enum
  return names;
}

std::string_view name(Interpolation i) { return interpolations()[static_cast<size_t>(i)]; }

std::optional<Interpolation> parse_interpolation(std::string_view name) {
  const auto at = std::find(interpolations().begin(), interpolations().end(), name);
  if (at == interpolations().end()) return std::nullopt;
  return static_cast<Interpolation>(at - interpolations().begin());
}

void resample(const View& from, int64_t width, int64_t height, Interpolation interpolation, const Box& box,
              const Window& window, Image& result) {
  const size_t used = static_cast<size_t>(window.width) * static_cast<size_t>(from.channels);
  result.width = window.width;
  result.height = window.height;
  result.channels = from.channels;
  result.pixels.resize(used * static_cast<size_t>(window.height));
  // Where nothing is scaled the taps are 1 and 0, and a pass would only copy: whole rows are copied instead.
  if (width == from.width && height == from.height && box.left == 0 && box.top == 0 && box.right == from.width &&
      box.bottom == from.height) {
    const View part =
        cut(from, static_cast<int>(window.left), static_cast<int>(window.top), window.width, window.height);
    for (size_t y = 0; y < static_cast<size_t>(window.height); ++y)
      std::memcpy(result.pixels.data() + y * used, part.pixels + y * part.stride, used);
    return;
  }
  if (vertical_first(from, width, height)) {
    const Image turned = transposed(from);
    Image turned_result;
    resample(view(turned), height, width, interpolation, {box.top, box.left, box.bottom, box.right},
             {window.top, window.left, window.height, window.width}, turned_result);
    result = transposed(view(turned_result));
    return;
  }
  thread_local Room room;
  const Taps across(from.width, box.left, box.right, width, interpolation, window.left, window.width);
  const Taps down(from.height, box.top, box.bottom, height, interpolation, window.top, window.height);
  along_rows(from, down.begin, down.end - down.begin, across, room);
  down_columns(down.begin, down, used, room, result.pixels.data());
}

Image resize(const Image& image, int width, int height, Interpolation interpolation, const Box& box) {
  require(width > 0 && height > 0, "resize: a result of ", width, " x ", height, ", expected at least 1 x 1");
  require(image.width > 0 && image.height > 0, "resize: an image of ", image.width, " x ", image.height);
  require(box.left >= 0 && box.top >= 0 && box.right <= image.width && box.bottom <= image.height &&
              box.left < box.right && box.top < box.bottom,
          "resize: the box (", box.left, ", ", box.top, ", ", box.right, ", ", box.bottom, ") of an image of ",
          image.width, " x ", image.height);
  Image result;
  resample(view(image), width, height, interpolation, box, {0, 0, width, height}, result);
  return result;
}

Image resize(const Image& image, int width, int height, Interpolation interpolation) {
  return resize(image, width, height, interpolation,
                {0, 0, static_cast<double>(image.width), static_cast<double>(image.height)});
}

}  // namespace shear
