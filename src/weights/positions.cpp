// Position embeddings for another grid of patches.  Each method is the same along rows and columns, a matrix of weights
// per axis:
//   zoom               scipy.ndimage.zoom of order 1, as Google's vit_jax and BackRazor: corners meet corners
//   bilinear           PyTorch's interpolate, align_corners=False, no antialias: timm on .npz
//   bicubic            the same with Keys' kernel of a = -0.75: Hugging Face
//   bicubic_antialias  the same with a = -0.5 and a support that grows with the reduction: timm
#include <algorithm>
#include <array>
#include <cmath>

#include "shear/error.h"
#include "shear/weights.h"

namespace shear {

namespace {

struct MethodName {
  PositionResize method;
  std::string_view name;
};
constexpr std::array methods{MethodName{PositionResize::zoom, "zoom"}, MethodName{PositionResize::bilinear, "bilinear"},
                             MethodName{PositionResize::bicubic, "bicubic"},
                             MethodName{PositionResize::bicubic_antialias, "bicubic-antialias"}};

struct Weight {
  int64_t index;
  double value;
};
using Weights1d = std::vector<std::vector<Weight>>;  // by place in the new grid

// Keys' cubic convolution kernel.
double cubic(double x, double a) {
  x = std::fabs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

// Linear between the neighbours of `at`, which stays inside the grid.
std::vector<Weight> linear(double at, int64_t size) {
  at = std::clamp(at, 0., static_cast<double>(size - 1));
  const auto low = static_cast<int64_t>(at);
  const double high = at - static_cast<double>(low);
  return {{low, 1 - high}, {std::min(low + 1, size - 1), high}};
}

std::vector<Weight> weights_at(int64_t place, int64_t from, int64_t to, PositionResize method) {
  const double scale = static_cast<double>(from) / static_cast<double>(to), p = static_cast<double>(place);
  std::vector<Weight> weights;
  switch (method) {
    case PositionResize::zoom:
      return linear(to == 1 ? 0 : p * static_cast<double>(from - 1) / static_cast<double>(to - 1), from);
    case PositionResize::bilinear:
      return linear((p + 0.5) * scale - 0.5, from);
    case PositionResize::bicubic: {
      const double at = (p + 0.5) * scale - 0.5;
      const auto first = static_cast<int64_t>(std::floor(at)) - 1;
      for (int64_t i = first; i < first + 4; ++i)
        weights.push_back({std::clamp<int64_t>(i, 0, from - 1), cubic(at - static_cast<double>(i), -0.75)});
      return weights;
    }
    case PositionResize::bicubic_antialias: {
      const double stretch = std::max(scale, 1.), centre = (p + 0.5) * scale, support = 2 * stretch;
      const auto first = std::max<int64_t>(static_cast<int64_t>(centre - support + 0.5), 0);
      const auto last = std::min(static_cast<int64_t>(centre + support + 0.5), from);
      double sum = 0;
      for (int64_t i = first; i < last; ++i) {
        weights.push_back({i, cubic((static_cast<double>(i) - centre + 0.5) / stretch, -0.5)});
        sum += weights.back().value;
      }
      for (Weight& w : weights) w.value /= sum;
      return weights;
    }
  }
  return weights;
}

}  // namespace

std::string_view name(PositionResize method) {
  return std::find_if(methods.begin(), methods.end(), [&](const MethodName& m) { return m.method == method; })->name;
}

PositionResize parse_position_resize(std::string_view spelt) {
  const auto at = std::find_if(methods.begin(), methods.end(), [&](const MethodName& m) { return m.name == spelt; });
  if (at != methods.end()) return at->method;
  fail(Fault::usage, setting("positions"), " ", spelt, ": expected zoom, bilinear, bicubic or bicubic-antialias");
}

std::vector<float> resize_positions(std::span<const float> grid, int64_t from, int64_t to, int64_t dim,
                                    PositionResize method) {
  require(from > 0 && to > 0 && static_cast<int64_t>(grid.size()) == from * from * dim,
          "resize_positions: ", grid.size(), " values do not fit a grid of ", from, " x ", from, " x ", dim);
  Weights1d weights;
  for (int64_t i = 0; i < to; ++i) weights.push_back(weights_at(i, from, to, method));
  std::vector<float> out;
  out.reserve(static_cast<size_t>(to * to * dim));
  std::vector<double> sum(static_cast<size_t>(dim));
  for (const std::vector<Weight>& rows : weights)
    for (const std::vector<Weight>& cols : weights) {
      std::fill(sum.begin(), sum.end(), 0);
      for (const Weight& r : rows)
        for (const Weight& c : cols) {
          const float* at = grid.data() + (r.index * from + c.index) * dim;
          for (int64_t d = 0; d < dim; ++d)
            sum[static_cast<size_t>(d)] += r.value * c.value * static_cast<double>(at[d]);
        }
      for (const double v : sum) out.push_back(static_cast<float>(v));
    }
  return out;
}

}  // namespace shear
