// The chunks of a PNG: those that hold pixels, and what the others say of how it was held.
#pragma once
#include "data/codec.h"

namespace shear {

// The parts of a PNG of which its pixels are made, signature and header among them, and what was found beside them.
// A decoder that is given these alone cannot stumble over the others, of which there may be thousands.
struct PngChunks {
  struct Part {
    uint64_t at, bytes;
  };
  std::vector<Part> parts;
  int orientation = 1;
};

// Throws Fault::input where a chunk before the pixels has a wrong sum, if sums are to be checked.  `name` stands in
// front of its sentence.
PngChunks png_chunks(const Encoded&, bool check_sums, const std::string& name);

}  // namespace shear
