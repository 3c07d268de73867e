// timm's names, which are Shear's own, and those that Meta's files have beside them.
#include "weights/names/names.h"

namespace shear {

namespace {

constexpr Rule same(std::string_view name) { return {name, name}; }

constexpr std::array timm_rules{
    same("cls_token"),
    same("reg_token"),
    alias("dist_token", "reg_token"),
    alias("register_tokens", "reg_token"),  // DINOv2's own files
    same("pos_embed"),
    same("patch_embed.proj.*"),
    same("patch_embed.norm.*"),
    same("rel_pos_bias.relative_position_bias_table"),
    same("rope.freqs"),
    same("norm_pre.*"),
    same("blocks.#.norm1.*"),
    same("blocks.#.attn.lambda_q1"),
    same("blocks.#.attn.lambda_k1"),
    same("blocks.#.attn.lambda_q2"),
    same("blocks.#.attn.lambda_k2"),
    same("blocks.#.attn.sub_norm.*"),
    // Blocks whose MLP and attention stand side by side.
    same("blocks.#.lambda_q1"),
    same("blocks.#.lambda_k1"),
    same("blocks.#.lambda_q2"),
    same("blocks.#.lambda_k2"),
    same("blocks.#.in_norm.*"),
    same("blocks.#.in_proj.*"),
    same("blocks.#.sub_norm.*"),
    same("blocks.#.attn_out_proj.*"),
    same("blocks.#.mlp_out_proj.*"),
    same("blocks.#.out_proj.*"),
    same("blocks.#.ls.gamma"),
    same("blocks.#.attn.qkv.*"),
    // timm's Eva: queries, keys and values apart, or their biases, of which keys have none.
    alias("blocks.#.attn.q_proj.*", "blocks.#.attn.qkv.*", 0),
    alias("blocks.#.attn.k_proj.*", "blocks.#.attn.qkv.*", 1),
    alias("blocks.#.attn.v_proj.*", "blocks.#.attn.qkv.*", 2),
    alias("blocks.#.attn.q_bias", "blocks.#.attn.qkv.bias", 0),
    alias("blocks.#.attn.v_bias", "blocks.#.attn.qkv.bias", 2),
    alias("blocks.#.gamma_1", "blocks.#.ls1.gamma"),
    alias("blocks.#.gamma_2", "blocks.#.ls2.gamma"),
    same("blocks.#.attn.relative_position_bias_table"),
    same("blocks.#.attn.q_norm.*"),
    same("blocks.#.attn.k_norm.*"),
    same("blocks.#.attn.norm.*"),
    same("blocks.#.attn.proj.*"),
    same("blocks.#.ls1.gamma"),
    same("blocks.#.norm2.*"),
    same("blocks.#.mlp.fc1.*"),
    alias("blocks.#.mlp.fc1_g.*", "blocks.#.mlp.fc1.*", 0, 2),
    alias("blocks.#.mlp.fc1_x.*", "blocks.#.mlp.fc1.*", 1, 2),
    alias("blocks.#.mlp.w12.*", "blocks.#.mlp.fc1.*"),  // DINOv2's own files
    same("blocks.#.mlp.norm.*"),
    alias("blocks.#.mlp.w3.*", "blocks.#.mlp.fc2.*"),
    same("blocks.#.mlp.fc2.*"),
    same("blocks.#.ls2.gamma"),
    same("norm.*"),
    same("fc_norm.*"),
    same("attn_pool.latent"),
    same("attn_pool.q.*"),
    same("attn_pool.kv.*"),
    same("attn_pool.proj.*"),
    same("attn_pool.norm.*"),
    same("attn_pool.mlp.fc1.*"),
    same("attn_pool.mlp.fc2.*"),
    same("head.*"),
    same("head_dist.*"),
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
