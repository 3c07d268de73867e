// What arguments of timm's VisionTransformer and Eva change of an architecture, where no weight shows it.
#include "weights/config_json.h"
#include "weights/source_config.h"

namespace shear {

using namespace config;

namespace {

// Positions that turn: all keys of it are Eva's.
void read_rope(const Json& args, const std::string& where, VitConfig& usual) {
  if (!flag(args, "use_rot_pos_emb", where, usual.rope != Rope::none)) {
    usual.rope = Rope::none;
    usual.rope_temperature = usual.rope_grid = usual.rope_offset = 0;
    usual.rope_xy = false;
    return;
  }
  if (const auto type = word(args, "rope_type", where)) {
    if (*type != "cat" && *type != "dinov3") refuse(where, "rope_type", *type, "cat or dinov3");
    usual.rope = *type == "cat" ? Rope::index : Rope::centred;
    if (usual.rope == Rope::centred) usual.rope_grid = usual.rope_offset = 0;
  }
  const bool centred = usual.rope == Rope::centred;
  if (flag(args, "rope_rotate_half", where, centred) != centred)
    refuse(where, "rope_rotate_half", !centred, text(centred ? "true" : "false", " beside this rope_type"));
  // Numbers that timm writes with a point.
  const auto whole_of = [&](const char* key, int64_t& into) {
    const auto said = number(args, key, where);
    if (!said) return;
    if (*said < 0 || *said > 1'000'000 || static_cast<double>(static_cast<int64_t>(*said)) != *said)
      refuse(where, key, *said, "a whole number");
    into = static_cast<int64_t>(*said);
  };
  whole_of("rope_temperature", usual.rope_temperature);
  whole_of("rope_grid_offset", usual.rope_offset);
  if (const auto grid = whole(args, "ref_feat_shape", where)) usual.rope_grid = *grid;
  if (const auto order = word(args, "rope_grid_indexing", where)) {
    if (*order != "ij" && *order != "xy") refuse(where, "rope_grid_indexing", *order, "ij or xy");
    usual.rope_xy = *order == "xy";
  }
}

}  // namespace

void take_timm_arguments(const Json& args, const std::string& where, VitConfig& usual) {
  const bool eva = usual.rope != Rope::none || !usual.key_bias;  // eva.py's, whose attention pools all tokens
  read_rope(args, where, usual);
  usual.norm_after = flag(args, "use_post_norm", where, usual.norm_after);
  const bool positions = flag(args, "use_abs_pos_emb", where, usual.positions != Positions::none) &&
                         word(args, "pos_embed", where).value_or("learn") != "none";
  if (!positions)
    usual.positions = Positions::none;
  else if (usual.positions == Positions::none)
    usual.positions = Positions::all;
  if (const auto norm = word(args, "norm_layer", where)) {
    if (*norm != "layernorm" && *norm != "rmsnorm") refuse(where, "norm_layer", *norm, "layernorm or rmsnorm");
    usual.epsilon = VitConfig{}.epsilon;
  }
  if (const auto heads = whole(args, "attn_pool_num_heads", where)) usual.pool_heads = *heads;
  // What pools: all tokens, or those of the patches.
  const bool all =
      flag(args, "pool_include_prefix", where, usual.pool == Pool::mean_all || usual.pool == Pool::attention_all);
  const std::string pool = word(args, "global_pool", where).value_or("");
  if (pool == "map" || (pool.empty() && (usual.pool == Pool::attention || usual.pool == Pool::attention_all)))
    usual.pool = all || eva ? Pool::attention_all : Pool::attention;
  if (pool == "avg" || (pool.empty() && (usual.pool == Pool::mean || usual.pool == Pool::mean_all)))
    usual.pool = all ? Pool::mean_all : Pool::mean;
}

}  // namespace shear
