// Decoding an encoded image that is already in memory.
#pragma once
#include <string>

#include "data/files.h"
#include "shear/data.h"

namespace shear {

bool is_jpeg(Bytes);
bool is_png(Bytes);
bool is_webp(Bytes);

// Upright.  `name` stands in front of every sentence they throw (Fault::input).
Image decode_jpeg(Bytes, const std::string& name);
Image decode_png(Bytes, const std::string& name);
Image decode_webp(Bytes, const std::string& name);

// Throws before anything is allocated for an image that nobody means to train on, but a hostile header may claim.
void check_dimensions(uint64_t width, uint64_t height, const std::string& name);

}  // namespace shear
