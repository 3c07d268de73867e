// How a name is read by a rule, and how a tensor is laid out; the tables themselves are in names/.
#include "weights/naming.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

#include "weights/names/names.h"

namespace shear {

const Naming own_naming{.name = "Shear", .prefixes = {}, .anchor = "", .rules = {}};

std::span<const Naming* const> known_namings() {
  static const std::vector<const Naming*> all = [] {
    std::vector<const Naming*> found;
    for (const auto& library :
         {timm_namings(), hugging_face_namings(), clip_namings(), torchvision_namings(), google_namings()})
      found.insert(found.end(), library.begin(), library.end());
    return found;
  }();
  return all;
}

bool matches(std::string_view pattern, std::string_view prefix, std::string_view name, NamePlace& place) {
  place = {};
  const auto number = [&] {
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), place.block);
    const auto digits = static_cast<size_t>(end - name.data());
    if (error != std::errc() || (digits > 1 && name.front() == '0') || name.front() == '-') return false;
    name.remove_prefix(digits);
    return true;
  };
  for (const char c : pattern) {
    if (c == '~' || c == '^') {
      if (name.starts_with(prefix))
        name.remove_prefix(prefix.size());
      else if (c == '~')
        return false;
    } else if (c == '#') {
      if (!number()) return false;
    } else if (c == '%') {
      place.stacked = !name.starts_with('_');
      if (place.stacked) continue;
      name.remove_prefix(1);
      if (!number()) return false;
    } else if (c == '?') {
      if (name.empty() || !std::isdigit(static_cast<unsigned char>(name.front()))) return false;
      name.remove_prefix(1);
    } else if (c == '*') {
      place.star = name;  // always the last
      return name == "weight" || name == "bias";
    } else {
      if (!name.starts_with(c)) return false;
      name.remove_prefix(1);
    }
  }
  return name.empty();
}

std::string spell(std::string_view pattern, std::string_view prefix, int64_t block, std::string_view star) {
  std::string out;
  for (const char c : pattern)
    if (c == '~' || c == '^')
      out += prefix;
    else if (c == '#')
      out += std::to_string(block);
    else if (c == '*')
      out += star;
    else
      out += c;
  return out;
}

Shape shape_here(Layout layout, const Shape& s) {
  switch (layout) {
    case Layout::as_is:
      return s;
    case Layout::transposed:
      return s.rank() == 2 ? Shape{s[1], s[0]} : Shape{};
    case Layout::row:
      return s.rank() == 1 ? Shape{1, 1, s[0]} : Shape{};
    case Layout::rows:
      return s.rank() == 2 ? Shape{1, s[0], s[1]} : Shape{};
    case Layout::conv:
      return s.rank() == 4 ? Shape{s[3], s[2], s[0], s[1]} : Shape{};
    case Layout::heads_out:
      return s.rank() == 3 ? Shape{s[1] * s[2], s[0]} : Shape{};
    case Layout::heads_bias:
      return s.rank() == 2 ? Shape{s[0] * s[1]} : Shape{};
    case Layout::heads_joined:
      return s.rank() == 3 ? Shape{s[2], s[0] * s[1]} : Shape{};
  }
  return {};
}

Shape shape_there(Layout layout, const Shape& s) {
  switch (layout) {
    case Layout::as_is:
      return s;
    case Layout::transposed:
      return {s[1], s[0]};
    case Layout::row:
      return {s[2]};
    case Layout::rows:
      return {s[1], s[2]};
    default:
      fail(Fault::internal, "shape_there: a layout of flax");
  }
}

namespace {

// (rows, cols) -> (cols, rows), in squares that stay in the cache.
void transpose(std::span<const float> from, int64_t rows, int64_t cols, std::span<float> to) {
  constexpr int64_t side = 32;
  const float* in = from.data();
  float* out = to.data();
  for (int64_t top = 0; top < rows; top += side)
    for (int64_t left = 0; left < cols; left += side)
      for (int64_t c = left; c < std::min(left + side, cols); ++c)
        for (int64_t r = top; r < std::min(top + side, rows); ++r) out[c * rows + r] = in[r * cols + c];
}

}  // namespace

// (H W, in, out) -> (out, in, H W), or back.
static void conv_kernel(const Shape& s, std::span<const float> from, std::span<float> to, bool back) {
  const int64_t area = s[0] * s[1], in = s[2], out = s[3];
  for (int64_t a = 0; a < area; ++a)
    for (int64_t i = 0; i < in; ++i)
      for (int64_t o = 0; o < out; ++o) {
        const auto at_there = static_cast<size_t>((a * in + i) * out + o);
        const auto at_here = static_cast<size_t>((o * in + i) * area + a);
        to[back ? at_there : at_here] = from[back ? at_here : at_there];
      }
}

// The rows and columns of the matrix that a source's tensor is, where it is turned.
static std::array<int64_t, 2> matrix(Layout layout, const Shape& s) {
  if (layout == Layout::heads_out) return {s[0], s[1] * s[2]};
  if (layout == Layout::heads_joined) return {s[0] * s[1], s[2]};
  return {s[0], s[1]};
}

static void lay(Layout layout, const Shape& s, std::span<const float> from, std::span<float> to, bool back) {
  if (layout == Layout::as_is || layout == Layout::heads_bias || layout == Layout::row || layout == Layout::rows) {
    std::copy(from.begin(), from.end(), to.begin());
  } else if (layout == Layout::conv) {
    conv_kernel(s, from, to, back);
  } else {
    const auto [rows, cols] = matrix(layout, s);
    transpose(from, back ? cols : rows, back ? rows : cols, to);
  }
}

void lay_out(Layout layout, const Shape& s, std::span<const float> from, std::span<float> to) {
  lay(layout, s, from, to, false);
}

void lay_back(Layout layout, const Shape& s, std::span<const float> from, std::span<float> to) {
  lay(layout, s, from, to, true);
}

PositionGrid position_grid(int64_t positions, int64_t classes, int64_t registers) {
  for (const int64_t before : {classes + registers, classes, int64_t{0}}) {
    const int64_t patches = std::max<int64_t>(positions - before, 0);
    const auto side = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(patches))));
    if (side > 0 && side * side == patches) return {side, before};
  }
  return {};
}

}  // namespace shear
