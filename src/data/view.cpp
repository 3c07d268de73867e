// Pixels of an image, or of a rectangle in it.
#include <algorithm>
#include <cstring>

#include "data/resample.h"

namespace shear {
namespace {

// A tile at a time: a whole column of the source would touch as many cache lines as it has rows.
template <size_t channels>
void transpose(const View& from, Image& to) {
  constexpr int tile = 32;
  const size_t out_row = static_cast<size_t>(to.width) * channels;
  for (int top = 0; top < from.height; top += tile)
    for (int left = 0; left < from.width; left += tile)
      for (int x = left; x < std::min(left + tile, from.width); ++x)
        for (int y = top; y < std::min(top + tile, from.height); ++y)
          std::memcpy(to.pixels.data() + static_cast<size_t>(x) * out_row + static_cast<size_t>(y) * channels,
                      from.pixels + static_cast<size_t>(y) * from.stride + static_cast<size_t>(x) * channels, channels);
}

}  // namespace

View view(const Image& image) {
  return {image.pixels.data(), static_cast<size_t>(image.width) * static_cast<size_t>(image.channels), image.width,
          image.height, image.channels};
}

View cut(const View& from, int left, int top, int width, int height) {
  const uint8_t* corner = from.pixels + static_cast<size_t>(top) * from.stride +
                          static_cast<size_t>(left) * static_cast<size_t>(from.channels);
  return {corner, from.stride, width, height, from.channels};
}

Image transposed(const View& from) {
  Image to{from.height, from.width, from.channels, {}};
  to.pixels.resize(static_cast<size_t>(from.width) * static_cast<size_t>(from.height) *
                   static_cast<size_t>(from.channels));
  from.channels == 1 ? transpose<1>(from, to) : transpose<3>(from, to);
  return to;
}

}  // namespace shear
