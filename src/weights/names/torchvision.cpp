// torchvision's VisionTransformer.
#include "weights/names/names.h"

namespace shear {

namespace {

constexpr std::array rules{
    Rule{"class_token", "cls_token"},
    Rule{"encoder.pos_embedding", "pos_embed"},
    Rule{"conv_proj.*", "patch_embed.proj.*"},
    Rule{"encoder.layers.encoder_layer_#.ln_1.*", "blocks.#.norm1.*"},
    Rule{"encoder.layers.encoder_layer_#.self_attention.in_proj_*", "blocks.#.attn.qkv.*"},
    Rule{"encoder.layers.encoder_layer_#.self_attention.out_proj.*", "blocks.#.attn.proj.*"},
    Rule{"encoder.layers.encoder_layer_#.ln_2.*", "blocks.#.norm2.*"},
    Rule{"encoder.layers.encoder_layer_#.mlp.0.*", "blocks.#.mlp.fc1.*"},
    alias("encoder.layers.encoder_layer_#.mlp.linear_1.*", "blocks.#.mlp.fc1.*"),  // before 0.14
    Rule{"encoder.layers.encoder_layer_#.mlp.3.*", "blocks.#.mlp.fc2.*"},
    alias("encoder.layers.encoder_layer_#.mlp.linear_2.*", "blocks.#.mlp.fc2.*"),
    Rule{"encoder.ln.*", "norm.*"},
    Rule{"heads.head.*", "head.*"},
};
constexpr std::array<std::string_view, 1> no_prefix{""};

}  // namespace

const Naming torchvision_naming{.name = "torchvision",
                                .prefixes = no_prefix,
                                .anchor = "conv_proj.weight",
                                .rules = rules,
                                .interpolation = Interpolation::bilinear,
                                .halves = Halves::even,
                                .mean = imagenet_mean,
                                .std = imagenet_std,
                                .positions = PositionResize::bicubic};

std::span<const Naming* const> torchvision_namings() {
  static constexpr std::array all{&torchvision_naming};
  return all;
}

}  // namespace shear
