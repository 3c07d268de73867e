// Google's flax modules.  Flax numbers the parts of a block: by their order in vit_jax, by their kind in big_vision.
#include "weights/names/names.h"

namespace shear {

namespace {

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

constexpr std::array<std::string_view, 3> prefixes{"", "opt/target/", "params/"};

const Naming flax_naming{.name = "Google",
                         .prefixes = prefixes,
                         .anchor = "embedding/kernel",
                         .rules = flax_rules,
                         .gelu = GeluForm::tanh,
                         .interpolation = Interpolation::bilinear,
                         .fit = Fit::both,
                         .positions = PositionResize::zoom};

}  // namespace

std::span<const Naming* const> google_namings() {
  static constexpr std::array all{&flax_naming};
  return all;
}

}  // namespace shear
