// Whether a data set is still what it was.
#include <xxhash.h>

#include "shear/data.h"

namespace shear {

uint64_t fingerprint(const Dataset& data) {
  // A sum, so that the order does not count.
  uint64_t sum = static_cast<uint64_t>(data.size());
  std::string line;
  for (int64_t i = 0; i < data.size(); ++i) {
    line = data.key(i);
    line += '\0';  // which no path holds
    line += data.classes()[static_cast<size_t>(data.label(i))];
    line += '\0';
    sum += XXH3_64bits_withSeed(line.data(), line.size(), data.sign(i));
  }
  return sum;
}

}  // namespace shear
