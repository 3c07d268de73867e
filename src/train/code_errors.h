// What codes add to the gradient, by kind of value and by block, as it was measured once.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "shear/train.h"

namespace shear {

struct CodeBits {
  int bits = 3, qkv = 4, gelu = 4, group = usual_code_group;  // as policy codes has them where nothing is said

  bool operator==(const CodeBits&) const = default;
  std::string spec() const;  // "codes:qkv=3", with what is not so by default
};

double error_under(const BlockErrors&, const CodeBits&);  // squared, of all that a block keeps
// Of a model of so many blocks.  Their sum is the same for any number: what was measured is a model of 12.
std::vector<BlockErrors> usual_errors(int64_t blocks);

// The block that a site lies in, by its name; -1: in none.
int64_t block_of(std::string_view site);

}  // namespace shear
