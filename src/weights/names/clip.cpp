// The image towers of CLIP and SigLIP, in Hugging Face's files and in OpenCLIP's, which are OpenAI's names.
#include "weights/names/names.h"

namespace shear {

namespace {

constexpr std::array patches{
    Rule{"~embeddings.position_embedding.weight", "pos_embed", Layout::rows},
    Rule{"~embeddings.patch_embedding.*", "patch_embed.proj.*"},
};
constexpr std::array blocks{
    Rule{"~encoder.layers.#.layer_norm1.*", "blocks.#.norm1.*"},
    Rule{"~encoder.layers.#.self_attn.q_proj.*", "blocks.#.attn.qkv.*", Layout::as_is, 0},
    Rule{"~encoder.layers.#.self_attn.k_proj.*", "blocks.#.attn.qkv.*", Layout::as_is, 1},
    Rule{"~encoder.layers.#.self_attn.v_proj.*", "blocks.#.attn.qkv.*", Layout::as_is, 2},
    Rule{"~encoder.layers.#.self_attn.out_proj.*", "blocks.#.attn.proj.*"},
    Rule{"~encoder.layers.#.layer_norm2.*", "blocks.#.norm2.*"},
    Rule{"~encoder.layers.#.mlp.fc1.*", "blocks.#.mlp.fc1.*"},
    Rule{"~encoder.layers.#.mlp.fc2.*", "blocks.#.mlp.fc2.*"},
};
// By its class token and the norm before the blocks a file of CLIP is told from one of SigLIP.
constexpr auto clip_tower = joined(std::array{Rule{"~embeddings.class_embedding", "cls_token", Layout::row}}, patches,
                                   std::array{Rule{"~pre_layrnorm.*", "norm_pre.*"}}, blocks);  // so it is spelled
constexpr auto siglip_tower = joined(patches, blocks);

// CLIPForImageClassification: the mean of the patches, before the last norm.
constexpr auto clip_classifier_rules =
    joined(clip_tower, std::array{Rule{"~post_layernorm.*", ""}, Rule{"classifier.*", "head.*"}});
// CLIPModel, CLIPVisionModel and CLIPVisionModelWithProjection: the class token, projected.
constexpr auto clip_rules = joined(
    clip_tower, std::array{Rule{"~post_layernorm.*", "norm.*"}, Rule{"visual_projection.weight", "head.weight"}});
// SiglipForImageClassification: the mean of the patches, behind the last norm.
constexpr auto siglip_classifier_rules =
    joined(siglip_tower, std::array{Rule{"~post_layernorm.*", "norm.*"}, Rule{"~head.probe", ""},
                                    Rule{"~head.attention.in_proj_*", ""}, Rule{"~head.attention.out_proj.*", ""},
                                    Rule{"~head.layernorm.*", ""}, Rule{"~head.mlp.fc1.*", ""},
                                    Rule{"~head.mlp.fc2.*", ""}, Rule{"classifier.*", "head.*"}});
// SiglipModel and SiglipVisionModel: pooled by attention.
constexpr auto siglip_rules = joined(
    siglip_tower, std::array{
                      Rule{"~post_layernorm.*", "norm.*"},
                      Rule{"~head.probe", "attn_pool.latent"},
                      Rule{"~head.attention.in_proj_*", "attn_pool.q.*", Layout::as_is, -1, 3, Share::first_third},
                      Rule{"~head.attention.in_proj_*", "attn_pool.kv.*", Layout::as_is, -1, 3, Share::other_thirds},
                      Rule{"~head.attention.out_proj.*", "attn_pool.proj.*"},
                      Rule{"~head.layernorm.*", "attn_pool.norm.*"},
                      Rule{"~head.mlp.fc1.*", "attn_pool.mlp.fc1.*"},
                      Rule{"~head.mlp.fc2.*", "attn_pool.mlp.fc2.*"},
                  });

constexpr std::array open_clip_rules{
    Rule{"~class_embedding", "cls_token", Layout::row},
    Rule{"~positional_embedding", "pos_embed", Layout::rows},
    Rule{"~conv1.weight", "patch_embed.proj.weight"},
    Rule{"~ln_pre.*", "norm_pre.*"},
    Rule{"~transformer.resblocks.#.ln_1.*", "blocks.#.norm1.*"},
    Rule{"~transformer.resblocks.#.attn.in_proj_*", "blocks.#.attn.qkv.*"},
    Rule{"~transformer.resblocks.#.attn.out_proj.*", "blocks.#.attn.proj.*"},
    Rule{"~transformer.resblocks.#.ln_2.*", "blocks.#.norm2.*"},
    Rule{"~transformer.resblocks.#.mlp.c_fc.*", "blocks.#.mlp.fc1.*"},
    Rule{"~transformer.resblocks.#.mlp.c_proj.*", "blocks.#.mlp.fc2.*"},
    Rule{"~ln_post.*", "norm.*"},
    Rule{"~proj", "head.weight", Layout::transposed},
};

constexpr std::string_view anchor = "embeddings.patch_embedding.weight";
constexpr std::array<std::string_view, 2> prefixes{"vision_model.", ""};
constexpr std::array<std::string_view, 2> open_clip_prefixes{"visual.", ""};

constexpr Naming of_clip(std::span<const Rule> rules, Pool pool, LastNorm last) {
  return {.name = "Hugging Face",
          .prefixes = prefixes,
          .anchor = anchor,
          .rules = rules,
          .epsilon = 1e-5f,
          .gelu = GeluForm::quick,
          .halves = Halves::down,
          .mean = clip_mean,
          .std = clip_std,
          .positions = PositionResize::bicubic,
          .pool = pool,
          .last_norm = last,
          .guessed = "GELU, OpenAI's quick form, which not all weights of these names have"};
}
constexpr Naming of_siglip(std::span<const Rule> rules, Pool pool) {
  return {.name = "Hugging Face",
          .prefixes = prefixes,
          .anchor = anchor,
          .rules = rules,
          .gelu = GeluForm::tanh,
          .fit = Fit::both,
          .halves = Halves::down,
          .positions = PositionResize::bicubic,
          .pool = pool};
}

constexpr Naming siglip_naming = of_siglip(siglip_rules, Pool::attention);

}  // namespace

const Naming clip_naming = of_clip(clip_rules, Pool::token, LastNorm::tokens);
const Naming clip_classifier_naming = of_clip(clip_classifier_rules, Pool::mean, LastNorm::none);
const Naming siglip_classifier_naming = of_siglip(siglip_classifier_rules, Pool::mean);
const Naming open_clip_naming{.name = "OpenCLIP",
                              .prefixes = open_clip_prefixes,
                              .anchor = "conv1.weight",
                              .rules = open_clip_rules,
                              .epsilon = 1e-5f,
                              .mean = clip_mean,
                              .std = clip_std,
                              .positions = PositionResize::bicubic_antialias,
                              .least = 3,
                              .guessed = "GELU, exact, though OpenAI's own weights have its quick form"};

std::span<const Naming* const> clip_namings() {
  // A classifier of SigLIP may be without the pooling that it does not use: its names are then among CLIP's.
  static constexpr std::array<const Naming*, 5> all{&siglip_naming, &siglip_classifier_naming, &clip_naming,
                                                    &clip_classifier_naming, &open_clip_naming};
  return all;
}

}  // namespace shear
