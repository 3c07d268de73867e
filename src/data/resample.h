// Resizing any part of an image onto any part of a result, with nothing copied before and nothing computed beside it.
#pragma once
#include <cstddef>
#include <cstdint>

#include "shear/data.h"

namespace shear {

// Pixels of an Image, or of a rectangle in it.
struct View {
  const uint8_t* pixels;
  size_t stride;  // bytes from a row to the next
  int width, height, channels;
};
View view(const Image&);
View cut(const View&, int left, int top, int width, int height);
Image transposed(const View&);  // columns become rows

// Columns [left, left + width) and rows [top, top + height) of a result.
struct Window {
  int64_t left, top;
  int width, height;
};

// The window of resize(from, width, height, ...): the same bytes as if all of it had been computed.  `result` may hold
// an earlier image, whose room is used again.
void resample(const View& from, int64_t width, int64_t height, Interpolation, const Box&, const Window&, Image& result);

}  // namespace shear
