// What codes add to the gradient.
//
// Measured on the DINOv2 ViT-S/14 with a head trained on photos of clothes (tools/docs/results.md), one kind of value
// of one block coded at a time and all else exact.  Errors of values that are rounded each by itself add up as
// variances: these add up to what all of them have together, within 3 %; here each but the last is the mean with its
// neighbours.  Those of a late block's queries, keys, values and slopes go back through all blocks before it, so that
// they weigh the most.
#include "train/code_errors.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "shear/error.h"

namespace shear {

namespace {

constexpr std::array<BlockErrors, 12> measured{{{0.00060, 0.000009, 0.000042},
                                                {0.00064, 0.000014, 0.000048},
                                                {0.00083, 0.000052, 0.000056},
                                                {0.00089, 0.000088, 0.000079},
                                                {0.00104, 0.00016, 0.00011},
                                                {0.00098, 0.00018, 0.00015},
                                                {0.00097, 0.00021, 0.00024},
                                                {0.00085, 0.00024, 0.00049},
                                                {0.00078, 0.00029, 0.00055},
                                                {0.00090, 0.00034, 0.00062},
                                                {0.00096, 0.00034, 0.00048},
                                                {0.00064, 0.00164, 0.00066}}};

// The variance that a code has, over that of `least` bits in groups of 64.  A step half as wide is a quarter of it.
double of_code(int bits, int group, int least) {
  if (bits >= 16) return 4e-6;  // the digits of f16
  const double step = (std::exp2(least) - 1) / (std::exp2(bits) - 1);
  // The range of 32 values is smaller than that of 64, by what these squares say; measured on activations.
  const double range = group == 32 ? 0.7 : group == 64 ? 1 : group == 128 ? 1.4 : 1.7;
  return step * step * range;
}
// The same of a slope on its grid, over that of 4 bits.
double of_slope(int bits) {
  switch (bits) {
    case 2:
      return 15;
    case 3:
      return 6.5;
    case 4:
      return 1;
    case 8:
      return 0.004;
    default:
      return 4e-6;
  }
}

}  // namespace

std::string CodeBits::spec() const {
  constexpr CodeBits usual;
  std::string words;
  const auto add = [&](const char* key, int value, int otherwise) {
    if (value != otherwise) words += text(words.empty() ? ":" : ",", key, '=', value);
  };
  add("bits", bits, usual.bits);
  add("group", group, usual.group);
  add("qkv", qkv, usual.qkv);
  add("gelu", gelu, usual.gelu);
  return "codes" + words;
}

double error_under(const BlockErrors& e, const CodeBits& c) {
  return e.linears * of_code(c.bits, c.group, 3) + e.attention * of_code(c.qkv, c.group, 4) +
         e.slopes * of_slope(c.gelu);
}

std::vector<BlockErrors> usual_errors(int64_t blocks) {
  std::vector<BlockErrors> errors;
  BlockErrors sum{0, 0, 0}, known{0, 0, 0};
  const auto add = [](BlockErrors& to, const BlockErrors& e) {
    to.linears += e.linears, to.attention += e.attention, to.slopes += e.slopes;
  };
  for (const BlockErrors& e : measured) add(known, e);
  constexpr double last = measured.size() - 1;
  for (int64_t b = 0; b < blocks; ++b) {
    const double at = blocks > 1 ? last * static_cast<double>(b) / static_cast<double>(blocks - 1) : last;
    const auto below = static_cast<size_t>(std::min(at, last - 1));
    const double share = at - static_cast<double>(below);
    const BlockErrors &x = measured[below], &y = measured[below + 1];
    errors.push_back({x.linears + share * (y.linears - x.linears), x.attention + share * (y.attention - x.attention),
                      x.slopes + share * (y.slopes - x.slopes)});
    add(sum, errors.back());
  }
  for (BlockErrors& e : errors)
    e.linears *= known.linears / sum.linears, e.attention *= known.attention / sum.attention,
        e.slopes *= known.slopes / sum.slopes;
  return errors;
}

int64_t block_of(std::string_view site) {
  constexpr std::string_view blocks = "blocks.";
  int64_t block = -1;
  if (site.starts_with(blocks)) std::from_chars(site.data() + blocks.size(), site.data() + site.size(), block);
  return block;
}

}  // namespace shear
