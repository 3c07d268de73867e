// timm's names, which are Shear's own, and those that Meta's files have beside them.
#include "weights/names/names.h"

namespace shear {

namespace {

constexpr std::array timm_rules{
    Rule{"cls_token", "cls_token"},
    Rule{"reg_token", "reg_token"},
    alias("dist_token", "reg_token"),
    alias("register_tokens", "reg_token"),  // DINOv2's own files
    Rule{"pos_embed", "pos_embed"},
    Rule{"patch_embed.proj.*", "patch_embed.proj.*"},
    Rule{"patch_embed.norm.*", "patch_embed.norm.*"},
    Rule{"norm_pre.*", "norm_pre.*"},
    Rule{"blocks.#.norm1.*", "blocks.#.norm1.*"},
    Rule{"blocks.#.attn.qkv.*", "blocks.#.attn.qkv.*"},
    // timm's Eva: queries, keys and values apart, or their biases, of which keys have none.
    alias("blocks.#.attn.q_proj.*", "blocks.#.attn.qkv.*", 0),
    alias("blocks.#.attn.k_proj.*", "blocks.#.attn.qkv.*", 1),
    alias("blocks.#.attn.v_proj.*", "blocks.#.attn.qkv.*", 2),
    alias("blocks.#.attn.q_bias", "blocks.#.attn.qkv.bias", 0),
    alias("blocks.#.attn.v_bias", "blocks.#.attn.qkv.bias", 2),
    alias("blocks.#.gamma_1", "blocks.#.ls1.gamma"),
    alias("blocks.#.gamma_2", "blocks.#.ls2.gamma"),
    Rule{"blocks.#.attn.norm.*", "blocks.#.attn.norm.*"},
    Rule{"blocks.#.attn.proj.*", "blocks.#.attn.proj.*"},
    Rule{"blocks.#.ls1.gamma", "blocks.#.ls1.gamma"},
    Rule{"blocks.#.norm2.*", "blocks.#.norm2.*"},
    Rule{"blocks.#.mlp.fc1.*", "blocks.#.mlp.fc1.*"},
    alias("blocks.#.mlp.fc1_g.*", "blocks.#.mlp.fc1.*", 0, 2),
    alias("blocks.#.mlp.fc1_x.*", "blocks.#.mlp.fc1.*", 1, 2),
    alias("blocks.#.mlp.w12.*", "blocks.#.mlp.fc1.*"),  // DINOv2's own files
    Rule{"blocks.#.mlp.norm.*", "blocks.#.mlp.norm.*"},
    alias("blocks.#.mlp.w3.*", "blocks.#.mlp.fc2.*"),
    Rule{"blocks.#.mlp.fc2.*", "blocks.#.mlp.fc2.*"},
    Rule{"blocks.#.ls2.gamma", "blocks.#.ls2.gamma"},
    Rule{"norm.*", "norm.*"},
    Rule{"fc_norm.*", "fc_norm.*"},
    Rule{"attn_pool.latent", "attn_pool.latent"},
    Rule{"attn_pool.q.*", "attn_pool.q.*"},
    Rule{"attn_pool.kv.*", "attn_pool.kv.*"},
    Rule{"attn_pool.proj.*", "attn_pool.proj.*"},
    Rule{"attn_pool.norm.*", "attn_pool.norm.*"},
    Rule{"attn_pool.mlp.fc1.*", "attn_pool.mlp.fc1.*"},
    Rule{"attn_pool.mlp.fc2.*", "attn_pool.mlp.fc2.*"},
    Rule{"head.*", "head.*"},
    Rule{"head_dist.*", "head_dist.*"},
};

constexpr std::array<std::string_view, 1> no_prefix{""};

}  // namespace

const Naming timm_naming{
    .name = "timm", .prefixes = no_prefix, .anchor = "patch_embed.proj.weight", .rules = timm_rules};

std::span<const Naming* const> timm_namings() {
  static constexpr std::array all{&timm_naming};
  return all;
}

}  // namespace shear
