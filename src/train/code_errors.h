// What codes add to the gradient, by kind of value and by block, as it was measured once.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace shear {

struct CodeBits {
  int bits = 3, qkv = 4, gelu = 4, group = 64;  // as policy codes has them where nothing is said

  bool operator==(const CodeBits&) const = default;
  std::string spec() const;  // "codes:qkv=3", with what is not so by default
};

// The square of the relative error that a block's values add to the gradients of all block weights: its linears'
// inputs in 3 bits and groups of 64, its queries, keys and values in 4, its slopes in 4.
struct BlockErrors {
  double linears, attention, slopes;
  double under(const CodeBits&) const;
};
// Of a model of so many blocks.  Their sum is the same for any number: what was measured is a model of 12.
std::vector<BlockErrors> usual_errors(int64_t blocks);

}  // namespace shear
