// Which of timm's models is which ViT, and its config.json: an architecture, and arguments for what is not as there.
#include <algorithm>
#include <cmath>

#include "weights/json.h"
#include "weights/library_model.h"

namespace shear {

namespace {

using Json = nlohmann::ordered_json;

// VisionTransformer, deit.py's with a second head, or eva.py's.
enum class Class : uint8_t { plain, distilled, eva };

struct Candidate {
  std::string name;  // of the architecture
  VitConfig usual;   // what it is, of the size that is wanted of its images
  VitConfig made;    // with arguments for all that can be said
  Class of = Class::plain;
  int cost = 0;
};

bool same_size(const VitConfig& a, const VitConfig& b) {
  return a.patch == b.patch && a.dim == b.dim && a.depth == b.depth && a.heads == b.heads &&
         a.mlp_width() == b.mlp_width();
}

// In what is no size.
int differences(const VitConfig& a, const VitConfig& b) {
  int count = 0;
  const auto compare = [&](auto... field) { ((count += a.*field != b.*field), ...); };
  compare(&VitConfig::gelu, &VitConfig::class_token, &VitConfig::registers, &VitConfig::positions,
          &VitConfig::patch_bias, &VitConfig::qkv_bias, &VitConfig::proj_bias, &VitConfig::key_bias, &VitConfig::rope,
          &VitConfig::rope_temperature, &VitConfig::rope_grid, &VitConfig::rope_offset, &VitConfig::rope_xy,
          &VitConfig::norm_after, &VitConfig::swiglu, &VitConfig::rms_norm, &VitConfig::patch_norm,
          &VitConfig::attention_norm, &VitConfig::mlp_norm, &VitConfig::norm_before, &VitConfig::layer_scale,
          &VitConfig::pool, &VitConfig::pool_heads, &VitConfig::last_norm, &VitConfig::relative,
          &VitConfig::differential, &VitConfig::parallel, &VitConfig::qk_norm, &VitConfig::kv_heads,
          &VitConfig::kv_full, &VitConfig::mlp_scale, &VitConfig::pool_hidden, &VitConfig::width);
  return count;
}

// What no argument makes: architectures that have it go out as they are, but for the size of images.
bool of_its_own(const VitConfig& c) {
  return c.rope == Rope::mixed || c.relative != Relative::none || c.qk_norm || c.pool_hidden > 0 || !c.mlp_scale;
}

Class class_of(const VitConfig& usual) {
  if (usual.pool == Pool::two_heads) return Class::distilled;
  return usual.rope != Rope::none || !usual.key_bias ? Class::eva : Class::plain;
}

bool by_attention(const VitConfig& c) { return c.pool == Pool::attention || c.pool == Pool::attention_all; }

// What all classes have, and cannot do without.
VitConfig common(const VitConfig& usual, const VitConfig& c) {
  VitConfig made = c;
  made.epsilon = usual.epsilon;
  made.head_bias = true;
  made.patch_bias = !c.norm_before;
  made.layer_scale = c.layer_scale || usual.layer_scale;  // no argument says that there is none
  if (usual.norm_after || c.norm_after) made.layer_scale = false;
  if (c.positions == Positions::but_registers) made.positions = Positions::all;
  if (by_attention(c)) made.qkv_bias = true;  // that pool has its biases
  made.relative = usual.relative;
  made.differential = usual.differential, made.parallel = usual.parallel;
  made.qk_norm = usual.qk_norm, made.mlp_scale = usual.mlp_scale, made.pool_hidden = usual.pool_hidden;
  made.kv_heads = made.kv_full = 0;  // names of their own
  made.width = 0;
  return made;
}

// VisionTransformer of the architecture, made as much as `c` as arguments can.
VitConfig plain_like(const VitConfig& usual, const VitConfig& c) {
  VitConfig made = common(usual, c);
  made.key_bias = true;
  made.rope = Rope::none;
  made.swiglu = usual.swiglu;
  made.norm_after = usual.norm_after;
  if (usual.rms_norm != c.rms_norm || usual.epsilon != c.epsilon) made.epsilon = VitConfig{}.epsilon;  // norm_layer
  if (usual.patch_norm) made.patch_norm = true, made.rms_norm = usual.rms_norm, made.epsilon = usual.epsilon;
  if (usual.pool == Pool::two_heads) {
    made.pool = Pool::two_heads;
    made.registers = 1;
    made.positions = Positions::all;
  } else if (c.pool == Pool::two_heads || c.pool == Pool::token_and_mean) {
    made.pool = Pool::token;
  }
  made.pool_heads = 0;
  return made;
}

VitConfig eva_like(const VitConfig& usual, const VitConfig& c) {
  VitConfig made = common(usual, c);
  made.proj_bias = true;
  made.gelu = GeluForm::exact;
  made.rms_norm = made.patch_norm = false;
  if (made.qkv_bias && !c.qkv_bias) made.key_bias = false;
  if (c.pool == Pool::attention && c.before_patches() == 0)
    made.pool = Pool::attention_all;
  else if (c.pool == Pool::mean_all && c.before_patches() == 0)
    made.pool = Pool::mean;
  else if (c.pool != Pool::token && c.pool != Pool::mean && c.pool != Pool::attention_all)
    made.pool = Pool::token;
  // No argument says that there is no grid.
  if (c.rope == Rope::index && c.rope_grid == 0 && usual.rope_grid > 0) made.rope_grid = c.image / c.patch;
  return made;
}

// The architecture that needs the fewest arguments, `kind` where it is one of them.
std::optional<Candidate> nearest(const VitConfig& c, std::string_view kind) {
  std::optional<Candidate> best;
  const auto try_one = [&](const std::string& name) {
    Candidate one;
    one.name = name;
    one.usual = parse_vit(name);
    one.of = class_of(one.usual);
    one.made = one.of == Class::eva ? eva_like(one.usual, c) : plain_like(one.usual, c);
    VitConfig but_for_epsilon = one.made;
    but_for_epsilon.epsilon = c.epsilon;
    if (!stands_for(but_for_epsilon, c)) return;
    if (of_its_own(one.made) && !(same_size(one.usual, one.made) && differences(one.usual, one.made) == 0)) return;
    // An epsilon that no argument makes is worse than all, another image size than nothing.
    constexpr int far = 4000;
    one.cost = 4 * (differences(one.usual, one.made) + differences(one.made, c)) +
               (one.made.epsilon == one.usual.epsilon ? 0 : 4) + (same_size(one.usual, one.made) ? 0 : 2) +
               (one.usual.image == c.image ? 0 : 1) + (one.made.epsilon == c.epsilon ? 0 : far);
    if (one.cost > 0 && name.starts_with("test_") && name != kind) return;
    if (!best || one.cost < best->cost) best = one;
  };
  const std::vector<std::string> known = vit_family().known;
  if (const auto at = std::find(known.begin(), known.end(), kind); at != known.end()) try_one(*at);
  try_one("vit_base_patch16_224");
  for (const std::string& name : known) try_one(name);
  return best;
}

// The ratio of which timm makes this width: floor(dim * ratio), in double precision.
double ratio_of(int64_t width, int64_t dim) {
  const auto w = static_cast<double>(width), d = static_cast<double>(dim);
  double ratio = w / d;
  while (std::floor(d * ratio) < w) ratio = std::nextafter(ratio, w);
  return ratio;
}

std::string_view pool_name(const VitConfig& c) {
  if (c.pool == Pool::token || c.pool == Pool::two_heads) return "token";
  return by_attention(c) ? "map" : "avg";
}

// Gates and values in tensors of their own, as AIMv2 and some of eva.py have them.
bool splits_gate(const Candidate& a) {
  if (!a.made.swiglu) return false;
  return a.of == Class::eva ? a.made.mlp_norm || a.usual.rope == Rope::centred : a.usual.patch_norm;
}
// EVA-02 of the larger sizes.
bool splits_qkv(const Candidate& a) { return a.of == Class::eva && a.usual.swiglu && a.usual.mlp_norm; }

void add_plain_arguments(const Candidate& a, Json& args) {
  const VitConfig &u = a.usual, &c = a.made;
  const auto differ = [&](auto field) { return u.*field != c.*field; };
  if (differ(&VitConfig::class_token)) args["class_token"] = c.class_token;
  if (differ(&VitConfig::registers) && a.of == Class::plain) args["reg_tokens"] = c.registers;
  if (c.positions == Positions::none)
    args["pos_embed"] = "none";
  else if (differ(&VitConfig::positions))
    args["no_embed_class"] = c.positions == Positions::patches;
  if (differ(&VitConfig::norm_before)) args["pre_norm"] = c.norm_before;
  if (differ(&VitConfig::qkv_bias)) args["qkv_bias"] = c.qkv_bias;
  if (differ(&VitConfig::layer_scale)) args["init_values"] = 1e-5;
  if (differ(&VitConfig::proj_bias)) args["proj_bias"] = c.proj_bias;
  if (differ(&VitConfig::attention_norm)) args["scale_attn_norm"] = c.attention_norm;
  if (differ(&VitConfig::mlp_norm)) args["scale_mlp_norm"] = c.mlp_norm;
  const char* norm = c.rms_norm ? "rmsnorm" : "layernorm";
  if (differ(&VitConfig::rms_norm) || differ(&VitConfig::epsilon)) args["norm_layer"] = norm;
  if (differ(&VitConfig::patch_norm)) args["embed_norm_layer"] = norm;
  if (differ(&VitConfig::gelu) && !c.swiglu)
    args["act_layer"] = c.gelu == GeluForm::exact ? "gelu" : c.gelu == GeluForm::tanh ? "gelu_tanh" : "quick_gelu";
  const bool others = c.pool == Pool::mean_all || c.pool == Pool::attention_all,
             usually = u.pool == Pool::mean_all || u.pool == Pool::attention_all;
  if (others != usually) args["pool_include_prefix"] = others;
  if (!differ(&VitConfig::pool) && !differ(&VitConfig::last_norm)) return;
  if (pool_name(u) != pool_name(c)) args["global_pool"] = pool_name(c);
  if (c.last_norm == LastNorm::none || u.last_norm == LastNorm::none)
    args["final_norm"] = c.last_norm != LastNorm::none;
  if (c.last_norm != LastNorm::none) args["fc_norm"] = c.last_norm == LastNorm::pooled;
}

// All of them: architectures of eva.py differ in more than a configuration here says.
void add_eva_arguments(const Candidate& a, Json& args) {
  const VitConfig& c = a.made;
  const bool rotary = c.rope != Rope::none, centred = c.rope == Rope::centred;
  args["class_token"] = c.class_token;
  args["num_reg_tokens"] = c.registers;
  args["no_embed_class"] = c.positions == Positions::patches;
  args["use_abs_pos_emb"] = c.positions != Positions::none;
  args["qkv_bias"] = c.qkv_bias;
  args["qkv_fused"] = !splits_qkv(a);
  args["attn_type"] = c.qkv_bias && c.key_bias ? "rope" : "eva";
  args["scale_attn_inner"] = c.attention_norm;
  args["scale_mlp"] = c.mlp_norm;
  args["swiglu_mlp"] = c.swiglu;
  args["swiglu_align_to"] = splits_gate(a) && !c.mlp_norm ? 1 : 0;
  args["use_rot_pos_emb"] = rotary;
  if (rotary) {
    args["rope_type"] = centred ? "dinov3" : "cat";
    args["rope_rotate_half"] = centred;
    args["rope_temperature"] = c.rope_temperature > 0 ? c.rope_temperature : centred ? 100 : 10000;
    args["rope_grid_offset"] = c.rope_offset;
    args["rope_grid_indexing"] = c.rope_xy ? "xy" : "ij";
    if (c.rope_grid > 0) args["ref_feat_shape"] = {c.rope_grid, c.rope_grid};
  }
  if (c.layer_scale) args["init_values"] = 1e-5;
  args["use_post_norm"] = c.norm_after;
  args["use_pre_transformer_norm"] = c.norm_before;
  args["use_post_transformer_norm"] = c.last_norm == LastNorm::tokens;
  args["use_fc_norm"] = c.last_norm == LastNorm::pooled;
  args["global_pool"] = pool_name(c);
  if (!by_attention(c)) return;
  args["attn_pool_num_heads"] = c.pool_heads > 0 ? c.pool_heads : c.heads;
  args["attn_pool_mlp_ratio"] = ratio_of(c.mlp_width(), c.dim);
}

Json arguments_of(const Candidate& a) {
  const VitConfig &u = a.usual, &c = a.made;
  Json args = Json::object();
  const bool like = same_size(u, c) && differences(u, c) == 0 && u.epsilon == c.epsilon;
  if (!same_size(u, c)) {
    const bool packed = c.swiglu && a.of != Class::eva && !splits_gate(a);
    args = {{"patch_size", c.patch},
            {"embed_dim", c.dim},
            {"depth", c.depth},
            {"num_heads", c.heads},
            {"mlp_ratio", ratio_of(packed ? 2 * c.mlp_width() : c.mlp_width(), c.dim)}};
  }
  if (c.image != u.image) args["img_size"] = c.image;
  if (c.channels != 3) args["in_chans"] = c.channels;
  if (a.of != Class::eva)
    add_plain_arguments(a, args);
  else if (!like)
    add_eva_arguments(a, args);
  return args;
}

std::vector<std::string_view> names_of_its_own(const Candidate& a) {
  std::vector<std::string_view> names;
  const auto add = [&](auto... more) { (names.emplace_back(more), ...); };
  if (a.of == Class::distilled) add("dist_token");
  if (a.of == Class::eva && a.made.layer_scale) add("blocks.#.gamma_1", "blocks.#.gamma_2");
  if (splits_qkv(a))
    add("blocks.#.attn.q_proj.*", "blocks.#.attn.k_proj.*", "blocks.#.attn.v_proj.*");
  else if (!a.made.key_bias)
    add("blocks.#.attn.q_bias", "blocks.#.attn.v_bias");
  if (splits_gate(a)) add("blocks.#.mlp.fc1_g.*", "blocks.#.mlp.fc1_x.*");
  return names;
}

// The share from which timm comes to the same size: floor(image / share), in double precision.
double share(const Preprocess& p) {
  const double side = static_cast<double>(resized_side(p)), said = short_double(p.crop);
  return std::floor(p.image / said) == side ? said : p.image / (side + (side != p.image ? 0.5 : 0));
}

Json config_of(const Candidate& a, const std::vector<std::string>& classes, const Preprocess& p) {
  const VitConfig& c = a.made;
  Json j{{"architecture", a.name}, {"num_classes", c.classes}, {"num_features", c.dim}, {"global_pool", pool_name(c)}};
  if (const Json args = arguments_of(a); !args.empty()) j["model_args"] = args;
  j["pretrained_cfg"] = {{"custom_load", false},
                         {"input_size", {c.channels, c.image, c.image}},
                         {"fixed_input_size", true},
                         {"interpolation", name(p.interpolation)},
                         {"crop_pct", share(p)},
                         {"crop_mode", p.fit == Fit::both     ? "squash"
                                       : p.fit == Fit::longer ? "border"
                                                              : "center"},
                         {"num_classes", c.classes},
                         {"pool_size", nullptr},
                         {"first_conv", "patch_embed.proj"},
                         {"classifier", a.of == Class::distilled ? Json{"head", "head_dist"} : Json("head")}};
  if (images_have(c.channels)) {
    j["pretrained_cfg"]["mean"] = by_channel(p.mean, p.channels);
    j["pretrained_cfg"]["std"] = by_channel(p.std, p.channels);
  }
  if (!classes.empty()) j["label_names"] = classes;
  return j;
}

}  // namespace

LibraryModel timm_model(const VitConfig& c, std::string_view kind, const std::vector<std::string>& classes,
                        const Preprocess& p) {
  const std::optional<Candidate> found = nearest(c, kind);
  // Below the usual one an epsilon is lost in the last digits.
  const bool other_epsilon =
      found && std::max(found->made.epsilon, c.epsilon) > VitConfig{}.epsilon && found->made.epsilon != c.epsilon;
  if (!found || other_epsilon)
    refuse_export("timm",
                  {{other_epsilon, "norm of such an epsilon in such a model"},
                   {c.pool == Pool::token_and_mean, "head on the class token and the mean"},
                   {c.patch_bias && c.norm_before, "model with the bias of the patches and the norm before the blocks"},
                   {c.width > 0, "image that is not square, in a config that Shear writes"},
                   {c.kv_heads > 0, "keys that heads share, in a config that Shear writes"},
                   {c.relative != Relative::none, "relative positions in such a model"},
                   {c.qk_norm, "norms of queries and keys in such a model"},
                   {c.differential || c.parallel, "such blocks in such a model"},
                   {c.pool_hidden > 0, "pooling by attention with an MLP of such a width"},
                   {c.rope != Rope::none && (c.rms_norm || c.patch_norm), "rotary positions beside RMSNorm"},
                   {c.rope != Rope::none && c.gelu != GeluForm::exact, "rotary positions beside such a GELU"},
                   {c.rope != Rope::none, "rotary positions in such a model"},
                   {c.pool_heads > 0, "pooling by attention of so many heads"},
                   {c.swiglu, "SwiGLU in such a model (under names that a config can choose)"},
                   {c.norm_after, "norm behind each branch in such a model (beside LayerScale, if it has one)"},
                   {c.rms_norm || c.patch_norm, "RMSNorm or norm of patches of such an epsilon"},
                   {c.pool == Pool::two_heads, "second head in such a model"}},
                  "none");
  LibraryModel m{.config = found->made,
                 .rules = rules_to_write(timm_naming, names_of_its_own(*found)),
                 .prefix = {},
                 .idle = {},
                 .json = config_of(*found, classes, p)};
  if (found->made.epsilon != c.epsilon)
    m.notes.push_back(text("timm's LayerNorm has an epsilon of ", found->made.epsilon, ", these weights are for ",
                           c.epsilon, ": its logits will differ in their last digits"));
  m.config.epsilon = c.epsilon;
  return m;
}

}  // namespace shear
