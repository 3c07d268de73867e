// Matrices to measure operators on.
#include "operands.h"

#include "shear/random.h"

namespace shear::tool {

// A million normal values, which every random matrix begins somewhere else in.  Their number is prime, so that no two
// rows of a matrix are alike.
static const std::vector<float>& normal_values() {
  static const std::vector<float> values = [] {
    std::vector<float> v(1000003);
    Stream stream(1, Purpose::test);
    for (float& x : v) x = stream.normal();
    return v;
  }();
  return values;
}

View Operands::random(int64_t rows, int64_t cols) {
  const std::vector<float>& normal = normal_values();
  std::vector<float> values(static_cast<size_t>(rows * cols));
  size_t at = held_.size() * 7919;
  for (float& v : values) v = normal[at++ % normal.size()];
  return held_.emplace_back(device_.upload({rows, cols}, Category::parameters, values));
}

View Operands::room(int64_t rows, int64_t cols, DType type) {
  return held_.emplace_back(device_.empty({rows, cols}, Category::parameters, type));
}

View Operands::choice(int64_t k, int64_t n) {
  std::vector<int32_t> index;
  Stream stream(2, Purpose::test);
  for (int64_t i = 0; i < n; ++i)
    if (stream.below(static_cast<uint32_t>(n - i)) < static_cast<uint32_t>(k) - index.size())
      index.push_back(static_cast<int32_t>(i));
  return held_.emplace_back(device_.upload({1, k}, Category::parameters, index));
}

View Operands::ones(int64_t n) {
  const View row = room(1, n);
  run().fill(row, 1);
  return row;
}

PackedView Operands::asleep(Code code, int64_t rows, int64_t cols, int64_t sample_rows, int64_t kept, int64_t group) {
  PackedView p{.code = code, .rows = rows, .cols = cols, .sample_rows = sample_rows, .kept = kept};
  p.group = group;
  const bool masked = kept > 0;
  const int64_t bytes = masked ? rows / sample_rows * kept * bits_of(code) / 8 : rows * p.row_bytes();
  p.values = room(1, bytes, DType::u8).data;
  if (masked) p.bits = static_cast<uint32_t*>(room(rows, p.mask_words(), DType::u32).data);
  if (group > 0)
    p.of_group = reinterpret_cast<CodeRange*>(room(p.groups(), cols).row(0));
  else if (bits_of(code) <= 8)
    p.affine = room(rows, 2).row(0);
  return p;
}

void Operands::wait() const {
  float value = 0;
  run().download(&value, held_.front().data<void>(), sizeof value);
}

}  // namespace shear::tool
