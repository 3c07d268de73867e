// Hugging Face's models whose names are like BERT's: ViT, DeiT, I-JEPA, MSN, DINOv2, BEiT, Data2Vec.
#include "weights/names/names.h"

namespace shear {

namespace {

constexpr std::array embeddings{
    Rule{"~embeddings.cls_token", "cls_token"},
    alias("~embeddings.distillation_token", "reg_token"),  // DeiT's: a register that has a position
    Rule{"~embeddings.position_embeddings", "pos_embed"},
    Rule{"~embeddings.patch_embeddings.projection.*", "patch_embed.proj.*"},
};
constexpr std::array attention{
    Rule{"^encoder.layer.#.attention.attention.query.*", "blocks.#.attn.qkv.*", Layout::as_is, 0},
    Rule{"^encoder.layer.#.attention.attention.key.*", "blocks.#.attn.qkv.*", Layout::as_is, 1},
    Rule{"^encoder.layer.#.attention.attention.value.*", "blocks.#.attn.qkv.*", Layout::as_is, 2},
    Rule{"^encoder.layer.#.attention.output.dense.*", "blocks.#.attn.proj.*"},
};
constexpr std::array last{
    Rule{"~layernorm.*", "norm.*"},
    Rule{"classifier.*", "head.*"},
    alias("cls_classifier.*", "head.*"),
    alias("distillation_classifier.*", "head_dist.*"),
};

constexpr std::array norm1{Rule{"^encoder.layer.#.layernorm_before.*", "blocks.#.norm1.*"}};
constexpr std::array mlp{Rule{"^encoder.layer.#.layernorm_after.*", "blocks.#.norm2.*"},
                         Rule{"^encoder.layer.#.intermediate.dense.*", "blocks.#.mlp.fc1.*"},
                         Rule{"^encoder.layer.#.output.dense.*", "blocks.#.mlp.fc2.*"}};

// Files of transformers up to 4, and what save_pretrained of 5 still writes.
constexpr auto vit_rules = joined(embeddings, norm1, attention, mlp, last);

constexpr auto beit_rules = joined(
    embeddings, norm1, attention, mlp, last,
    std::array{Rule{"^encoder.layer.#.attention.attention.relative_position_bias.relative_position_bias_table",
                    "blocks.#.attn.relative_position_bias_table"},
               Rule{"^encoder.relative_position_bias.relative_position_bias_table",
                    "rel_pos_bias.relative_position_bias_table"},
               Rule{"^encoder.layer.#.lambda_1", "blocks.#.ls1.gamma"},
               Rule{"^encoder.layer.#.lambda_2", "blocks.#.ls2.gamma"}, Rule{"~pooler.layernorm.*", "fc_norm.*"}});

// The state dict of transformers 5, which its own files translate.
constexpr auto vit_5_rules = joined(embeddings,
                                    std::array{
                                        Rule{"~layers.#.layernorm_before.*", "blocks.#.norm1.*"},
                                        Rule{"~layers.#.attention.q_proj.*", "blocks.#.attn.qkv.*", Layout::as_is, 0},
                                        Rule{"~layers.#.attention.k_proj.*", "blocks.#.attn.qkv.*", Layout::as_is, 1},
                                        Rule{"~layers.#.attention.v_proj.*", "blocks.#.attn.qkv.*", Layout::as_is, 2},
                                        Rule{"~layers.#.attention.o_proj.*", "blocks.#.attn.proj.*"},
                                        Rule{"~layers.#.layernorm_after.*", "blocks.#.norm2.*"},
                                        Rule{"~layers.#.mlp.fc1.*", "blocks.#.mlp.fc1.*"},
                                        Rule{"~layers.#.mlp.fc2.*", "blocks.#.mlp.fc2.*"},
                                    },
                                    last);

constexpr auto dinov2_rules = joined(std::array{Rule{"~embeddings.register_tokens", "reg_token"}}, embeddings,
                                     std::array{Rule{"^encoder.layer.#.norm1.*", "blocks.#.norm1.*"}}, attention,
                                     std::array{
                                         Rule{"^encoder.layer.#.layer_scale1.lambda1", "blocks.#.ls1.gamma"},
                                         Rule{"^encoder.layer.#.norm2.*", "blocks.#.norm2.*"},
                                         Rule{"^encoder.layer.#.mlp.fc1.*", "blocks.#.mlp.fc1.*"},
                                         Rule{"^encoder.layer.#.mlp.fc2.*", "blocks.#.mlp.fc2.*"},
                                         alias("^encoder.layer.#.mlp.weights_in.*", "blocks.#.mlp.fc1.*"),  // gated
                                         alias("^encoder.layer.#.mlp.weights_out.*", "blocks.#.mlp.fc2.*"),
                                         Rule{"^encoder.layer.#.layer_scale2.lambda1", "blocks.#.ls2.gamma"},
                                     },
                                     last);

constexpr std::string_view anchor = "embeddings.patch_embeddings.projection.weight";
constexpr std::array<std::string_view, 4> prefixes{"vit.", "deit.", "ijepa.", ""};
constexpr std::array<std::string_view, 3> beit_prefixes{"beit.", "data2vec_vision.", ""};
constexpr std::array<std::string_view, 3> dinov2_prefixes{"dinov2.", "dinov2_with_registers.", ""};

}  // namespace

const Naming hugging_face_naming{.name = "Hugging Face",
                                 .prefixes = prefixes,
                                 .anchor = anchor,
                                 .rules = vit_rules,
                                 .epsilon = 1e-12f,
                                 .interpolation = Interpolation::bilinear,
                                 .fit = Fit::both,
                                 .halves = Halves::down,
                                 .positions = PositionResize::bicubic};

namespace {

const Naming hugging_face_5_naming{.name = "Hugging Face",
                                   .prefixes = prefixes,
                                   .anchor = anchor,
                                   .rules = vit_5_rules,
                                   .epsilon = 1e-12f,
                                   .interpolation = Interpolation::bilinear,
                                   .fit = Fit::both,
                                   .halves = Halves::down,
                                   .positions = PositionResize::bicubic};
const Naming beit_naming{.name = "Hugging Face",
                         .prefixes = beit_prefixes,
                         .anchor = anchor,
                         .rules = beit_rules,
                         .epsilon = 1e-12f,
                         .fit = Fit::both,
                         .halves = Halves::down,
                         .positions = PositionResize::bicubic};

}  // namespace

const Naming dinov2_naming{.name = "Hugging Face",
                           .prefixes = dinov2_prefixes,
                           .anchor = anchor,
                           .rules = dinov2_rules,
                           .halves = Halves::down,
                           .mean = imagenet_mean,
                           .std = imagenet_std,
                           .positions = PositionResize::bicubic};

std::span<const Naming* const> hugging_face_namings() {
  static constexpr std::array all{&hugging_face_naming, &hugging_face_5_naming, &beit_naming, &dinov2_naming};
  return all;
}

}  // namespace shear
