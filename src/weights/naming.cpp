// The tables of names.  What they say was checked against files of timm 1.0, transformers 4 and 5 and the flax layout
// of Google's vit_jax and big_vision (tools/golden_weights.py).
#include "weights/naming.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

namespace shear {

namespace {

constexpr std::array timm_rules{
    Rule{"cls_token", "cls_token"},
    Rule{"pos_embed", "pos_embed"},
    Rule{"patch_embed.proj.*", "patch_embed.proj.*"},
    Rule{"blocks.#.norm1.*", "blocks.#.norm1.*"},
    Rule{"blocks.#.attn.qkv.*", "blocks.#.attn.qkv.*"},
    Rule{"blocks.#.attn.proj.*", "blocks.#.attn.proj.*"},
    Rule{"blocks.#.norm2.*", "blocks.#.norm2.*"},
    Rule{"blocks.#.mlp.fc1.*", "blocks.#.mlp.fc1.*"},
    Rule{"blocks.#.mlp.fc2.*", "blocks.#.mlp.fc2.*"},
    Rule{"norm.*", "norm.*"},
    Rule{"head.*", "head.*"},
};

// Files of transformers up to 4, and what save_pretrained of 5 still writes.
constexpr std::array hugging_face_rules{
    Rule{"~embeddings.cls_token", "cls_token"},
    Rule{"~embeddings.position_embeddings", "pos_embed"},
    Rule{"~embeddings.patch_embeddings.projection.*", "patch_embed.proj.*"},
    Rule{"~encoder.layer.#.layernorm_before.*", "blocks.#.norm1.*"},
    Rule{"~encoder.layer.#.attention.attention.query.*", "blocks.#.attn.qkv.*", Layout::as_is, 0},
    Rule{"~encoder.layer.#.attention.attention.key.*", "blocks.#.attn.qkv.*", Layout::as_is, 1},
    Rule{"~encoder.layer.#.attention.attention.value.*", "blocks.#.attn.qkv.*", Layout::as_is, 2},
    Rule{"~encoder.layer.#.attention.output.dense.*", "blocks.#.attn.proj.*"},
    Rule{"~encoder.layer.#.layernorm_after.*", "blocks.#.norm2.*"},
    Rule{"~encoder.layer.#.intermediate.dense.*", "blocks.#.mlp.fc1.*"},
    Rule{"~encoder.layer.#.output.dense.*", "blocks.#.mlp.fc2.*"},
    Rule{"~layernorm.*", "norm.*"},
    Rule{"classifier.*", "head.*"},
};

// The state dict of transformers 5, which its own files translate.
constexpr std::array hugging_face_5_rules{
    Rule{"~embeddings.cls_token", "cls_token"},
    Rule{"~embeddings.position_embeddings", "pos_embed"},
    Rule{"~embeddings.patch_embeddings.projection.*", "patch_embed.proj.*"},
    Rule{"~layers.#.layernorm_before.*", "blocks.#.norm1.*"},
    Rule{"~layers.#.attention.q_proj.*", "blocks.#.attn.qkv.*", Layout::as_is, 0},
    Rule{"~layers.#.attention.k_proj.*", "blocks.#.attn.qkv.*", Layout::as_is, 1},
    Rule{"~layers.#.attention.v_proj.*", "blocks.#.attn.qkv.*", Layout::as_is, 2},
    Rule{"~layers.#.attention.o_proj.*", "blocks.#.attn.proj.*"},
    Rule{"~layers.#.layernorm_after.*", "blocks.#.norm2.*"},
    Rule{"~layers.#.mlp.fc1.*", "blocks.#.mlp.fc1.*"},
    Rule{"~layers.#.mlp.fc2.*", "blocks.#.mlp.fc2.*"},
    Rule{"~layernorm.*", "norm.*"},
    Rule{"classifier.*", "head.*"},
};

// Google's flax modules.  Flax numbers the parts of a block: by their order in vit_jax, by their kind in big_vision.
constexpr std::array flax_rules{
    Rule{"~cls", "cls_token"},
    Rule{"~Transformer/posembed_input/pos_embedding", "pos_embed"},
    Rule{"~pos_embedding", "pos_embed"},
    Rule{"~embedding/kernel", "patch_embed.proj.weight", Layout::conv},
    Rule{"~embedding/bias", "patch_embed.proj.bias"},
    Rule{"~Transformer/encoderblock%/LayerNorm_0/scale", "blocks.#.norm1.weight"},
    Rule{"~Transformer/encoderblock%/LayerNorm_0/bias", "blocks.#.norm1.bias"},
    Rule{"~Transformer/encoderblock%/MultiHeadDotProductAttention_?/query/kernel", "blocks.#.attn.qkv.weight",
         Layout::heads_out, 0},
    Rule{"~Transformer/encoderblock%/MultiHeadDotProductAttention_?/query/bias", "blocks.#.attn.qkv.bias",
         Layout::heads_bias, 0},
    Rule{"~Transformer/encoderblock%/MultiHeadDotProductAttention_?/key/kernel", "blocks.#.attn.qkv.weight",
         Layout::heads_out, 1},
    Rule{"~Transformer/encoderblock%/MultiHeadDotProductAttention_?/key/bias", "blocks.#.attn.qkv.bias",
         Layout::heads_bias, 1},
    Rule{"~Transformer/encoderblock%/MultiHeadDotProductAttention_?/value/kernel", "blocks.#.attn.qkv.weight",
         Layout::heads_out, 2},
    Rule{"~Transformer/encoderblock%/MultiHeadDotProductAttention_?/value/bias", "blocks.#.attn.qkv.bias",
         Layout::heads_bias, 2},
    Rule{"~Transformer/encoderblock%/MultiHeadDotProductAttention_?/out/kernel", "blocks.#.attn.proj.weight",
         Layout::heads_joined},
    Rule{"~Transformer/encoderblock%/MultiHeadDotProductAttention_?/out/bias", "blocks.#.attn.proj.bias"},
    Rule{"~Transformer/encoderblock%/LayerNorm_?/scale", "blocks.#.norm2.weight"},
    Rule{"~Transformer/encoderblock%/LayerNorm_?/bias", "blocks.#.norm2.bias"},
    Rule{"~Transformer/encoderblock%/MlpBlock_?/Dense_0/kernel", "blocks.#.mlp.fc1.weight", Layout::transposed},
    Rule{"~Transformer/encoderblock%/MlpBlock_?/Dense_0/bias", "blocks.#.mlp.fc1.bias"},
    Rule{"~Transformer/encoderblock%/MlpBlock_?/Dense_1/kernel", "blocks.#.mlp.fc2.weight", Layout::transposed},
    Rule{"~Transformer/encoderblock%/MlpBlock_?/Dense_1/bias", "blocks.#.mlp.fc2.bias"},
    Rule{"~Transformer/encoder_norm/scale", "norm.weight"},
    Rule{"~Transformer/encoder_norm/bias", "norm.bias"},
    Rule{"~head/kernel", "head.weight", Layout::transposed},
    Rule{"~head/bias", "head.bias"},
};

constexpr std::array<std::string_view, 1> no_prefix{""};
constexpr std::array<std::string_view, 2> hugging_face_prefixes{"vit.", ""};
constexpr std::array<std::string_view, 3> flax_prefixes{"", "opt/target/", "params/"};

}  // namespace

const Naming timm_naming{.name = "timm",
                         .prefixes = no_prefix,
                         .anchor = "patch_embed.proj.weight",
                         .rules = timm_rules,
                         .epsilon = 1e-6f,
                         .gelu = GeluForm::exact,
                         .interpolation = Interpolation::bicubic,
                         .fit = Fit::shorter,
                         .halves = Halves::even,
                         .positions = PositionResize::bicubic_antialias};
const Naming own_naming{.name = "Shear",
                        .prefixes = {},
                        .anchor = "",
                        .rules = {},
                        .epsilon = 0,
                        .gelu = GeluForm::exact,
                        .interpolation = Interpolation::bicubic,
                        .fit = Fit::shorter,
                        .halves = Halves::even,
                        .positions = PositionResize::bicubic_antialias};
const Naming hugging_face_naming{.name = "Hugging Face",
                                 .prefixes = hugging_face_prefixes,
                                 .anchor = "embeddings.patch_embeddings.projection.weight",
                                 .rules = hugging_face_rules,
                                 .epsilon = 1e-12f,
                                 .gelu = GeluForm::exact,
                                 .interpolation = Interpolation::bilinear,
                                 .fit = Fit::both,
                                 .halves = Halves::down,
                                 .positions = PositionResize::bicubic};

namespace {

const Naming hugging_face_5_naming{.name = "Hugging Face",
                                   .prefixes = hugging_face_prefixes,
                                   .anchor = "embeddings.patch_embeddings.projection.weight",
                                   .rules = hugging_face_5_rules,
                                   .epsilon = 1e-12f,
                                   .gelu = GeluForm::exact,
                                   .interpolation = Interpolation::bilinear,
                                   .fit = Fit::both,
                                   .halves = Halves::down,
                                   .positions = PositionResize::bicubic};
const Naming flax_naming{.name = "Google",
                         .prefixes = flax_prefixes,
                         .anchor = "embedding/kernel",
                         .rules = flax_rules,
                         .epsilon = 1e-6f,
                         .gelu = GeluForm::tanh,
                         .interpolation = Interpolation::bilinear,
                         .fit = Fit::both,
                         .halves = Halves::even,
                         .positions = PositionResize::zoom};

}  // namespace

std::span<const Naming* const> known_namings() {
  static constexpr std::array<const Naming*, 4> all{&timm_naming, &hugging_face_naming, &hugging_face_5_naming,
                                                    &flax_naming};
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
    if (c == '~') {
      if (!name.starts_with(prefix)) return false;
      name.remove_prefix(prefix.size());
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
    if (c == '~')
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
  if (layout == Layout::as_is || layout == Layout::heads_bias) {
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

int64_t grid_side(int64_t positions) {
  for (const int64_t patches : {positions - 1, positions}) {
    const auto side = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(std::max<int64_t>(patches, 0)))));
    if (side > 0 && side * side == patches) return side;
  }
  return 0;
}

}  // namespace shear
