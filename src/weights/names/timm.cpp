// timm's names, which are Shear's own, and those that Meta's files have beside them.
#include "weights/names/names.h"

namespace shear {

namespace {

constexpr std::array timm_rules{
    Rule{"cls_token", "cls_token"},
    Rule{"reg_token", "reg_token"},
    Rule{"dist_token", "reg_token", Layout::as_is, -1, 3, Share::whole, true},
    Rule{"register_tokens", "reg_token", Layout::as_is, -1, 3, Share::whole, true},  // DINOv2's own files
    Rule{"pos_embed", "pos_embed"},
    Rule{"patch_embed.proj.*", "patch_embed.proj.*"},
    Rule{"patch_embed.norm.*", "patch_embed.norm.*"},
    Rule{"norm_pre.*", "norm_pre.*"},
    Rule{"blocks.#.norm1.*", "blocks.#.norm1.*"},
    Rule{"blocks.#.attn.qkv.*", "blocks.#.attn.qkv.*"},
    // timm's Eva: queries, keys and values apart, or their biases, of which keys have none.
    Rule{"blocks.#.attn.q_proj.*", "blocks.#.attn.qkv.*", Layout::as_is, 0, 3, Share::whole, true},
    Rule{"blocks.#.attn.k_proj.*", "blocks.#.attn.qkv.*", Layout::as_is, 1, 3, Share::whole, true},
    Rule{"blocks.#.attn.v_proj.*", "blocks.#.attn.qkv.*", Layout::as_is, 2, 3, Share::whole, true},
    Rule{"blocks.#.attn.q_bias", "blocks.#.attn.qkv.bias", Layout::as_is, 0, 3, Share::whole, true},
    Rule{"blocks.#.attn.v_bias", "blocks.#.attn.qkv.bias", Layout::as_is, 2, 3, Share::whole, true},
    Rule{"blocks.#.gamma_1", "blocks.#.ls1.gamma", Layout::as_is, -1, 3, Share::whole, true},
    Rule{"blocks.#.gamma_2", "blocks.#.ls2.gamma", Layout::as_is, -1, 3, Share::whole, true},
    Rule{"blocks.#.attn.norm.*", "blocks.#.attn.norm.*"},
    Rule{"blocks.#.attn.proj.*", "blocks.#.attn.proj.*"},
    Rule{"blocks.#.ls1.gamma", "blocks.#.ls1.gamma"},
    Rule{"blocks.#.norm2.*", "blocks.#.norm2.*"},
    Rule{"blocks.#.mlp.fc1.*", "blocks.#.mlp.fc1.*"},
    Rule{"blocks.#.mlp.fc1_g.*", "blocks.#.mlp.fc1.*", Layout::as_is, 0, 2, Share::whole, true},
    Rule{"blocks.#.mlp.fc1_x.*", "blocks.#.mlp.fc1.*", Layout::as_is, 1, 2, Share::whole, true},
    Rule{"blocks.#.mlp.w12.*", "blocks.#.mlp.fc1.*", Layout::as_is, -1, 3, Share::whole, true},  // DINOv2's own files
    Rule{"blocks.#.mlp.norm.*", "blocks.#.mlp.norm.*"},
    Rule{"blocks.#.mlp.w3.*", "blocks.#.mlp.fc2.*", Layout::as_is, -1, 3, Share::whole, true},
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
