// The chunks of a PNG: those that hold pixels, and what the others say of how it was held.
#pragma once
#include "data/codec.h"

namespace shear {

struct PngChunks {
  // Of a file in memory: signature, header, palette and pixels, one after another.  A decoder that is given these alone
  // cannot stumble over the other chunks, of which there may be thousands.
  std::vector<Bytes> parts;
  std::vector<uint8_t> palette;  // the chunk of a palette that was longer than it may be, as it should have been
  int orientation = 1;
};

// Throws Fault::input where a chunk before the pixels has a wrong sum, if the file is in memory.  `name` stands in
// front of its sentence.
PngChunks png_chunks(const Encoded&, const std::string& name);

}  // namespace shear
